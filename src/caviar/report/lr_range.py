"""The page of a learning-rate range test."""
from pathlib import Path
from caviar.run.rates import RangeRecord
from caviar.run.files import write_text
def write_range(folder: Path, record: RangeRecord) -> None:
    write_text(folder / "lr-range.json", record.model_dump_json(indent=1))
