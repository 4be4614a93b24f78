"""`Model.fit` for a whole population: rows, jobs, what training recorded, and files that callbacks leave."""
