// Shows a running training: asks for its state, draws its curves, and sends what a person asks for.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const WIDE = 480, HIGH = 260, LEFT = 58, BOTTOM = 26, TOP = 10, RIGHT = 12;
  const COLOURS = ["#0067a3", "#b84a00", "#007a59", "#8a4fa3", "#a3890b", "#b03060", "#4c6a92", "#5b7f3a"];
  const DARK = ["#6cc0f0", "#f2a65e", "#52cfa6", "#c79be0", "#dcc45a", "#f08bb0", "#a6bfe0", "#a9d188"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const NAMES = ["learning_rate", "dropout", "weight_decay", "batch_size"];
  const at = (id) => document.getElementById(id);
  let seen = null;
  let version = -1;

  const digits = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(4))));
  const colour = (index) => (dark.matches ? DARK : COLOURS)[index % COLOURS.length];
  const made = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const cell = (tag, text, kind) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };

  const ask = async (command) => {
    const answer = at("answer");
    answer.className = "";
    answer.textContent = "Asked: it is done when the epochs that run now are.";
    try {
      const reply = await fetch("do", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(command),
      });
      const said = await reply.json();
      answer.className = reply.ok ? "done" : "refused";
      answer.textContent = said.said;
    } catch {
      answer.className = "refused";
      answer.textContent = "The training no longer answers: it has ended, or was killed.";
    }
    await poll();
  };

  // What cannot be read as a number is sent as it was typed: the server says what is wrong with it.
  const typed = (id) => {
    const text = at(id).value.trim();
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  };

  const path = (values, x, y) => {
    let line = "", pen = "M";
    values.forEach((value, i) => {
      if (value === null) { pen = "M"; return; }
      line += `${pen}${x(i + 1).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    });
    return line;
  };

  const drawPanel = (name, figure) => {
    const lines = seen.branches.flatMap((branch, i) =>
      [[name, ""], [`val_${name}`, " watched"]].filter(([log]) => log in seen.curves[branch.name]).map(([log, kind]) => ({
        values: seen.curves[branch.name][log], colour: colour(i), name: branch.name, log,
        kind: `curve${kind}${branch.name === seen.branch ? " present" : ""}`,
      })));
    const known = lines.flatMap((line) => line.values.filter((value) => value !== null));
    const epochs = Math.max(2, ...lines.map((line) => line.values.length));
    let low = Math.min(...known), high = Math.max(...known);
    if (!known.length) { low = 0; high = 1; }
    if (high === low) { high += 0.5 * (Math.abs(high) || 1); low -= 0.5 * (Math.abs(low) || 1); }
    const x = (epoch) => LEFT + ((epoch - 1) / (epochs - 1)) * (WIDE - LEFT - RIGHT);
    const y = (value) => TOP + ((high - value) / (high - low)) * (HIGH - TOP - BOTTOM);
    const svg = made("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${name} by epoch` });
    for (let i = 0; i <= 4; i += 1) {
      const value = low + (i / 4) * (high - low);
      svg.append(made("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value) }));
      svg.append(made("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))));
    }
    const step = Math.max(1, Math.ceil(epochs / 6));
    for (let epoch = step; epoch <= epochs; epoch += step) {
      svg.append(made("text", { x: x(epoch), y: HIGH - 8, "text-anchor": "middle" }, String(epoch)));
    }
    if (seen.epoch > 0) svg.append(made("line", { class: "at", x1: x(seen.epoch), x2: x(seen.epoch), y1: TOP, y2: HIGH - BOTTOM }));
    lines.sort((one, other) => one.kind.includes("present") - other.kind.includes("present"));
    lines.forEach((line) => {
      const curve = made("path", { class: line.kind, d: path(line.values, x, y), stroke: line.colour });
      curve.append(made("title", {}, `branch ${line.name}: ${line.log}`));
      svg.append(curve);
    });
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const across = ((event.clientX - box.left) / box.width) * WIDE;
      const epoch = Math.round(1 + ((across - LEFT) / (WIDE - LEFT - RIGHT)) * (epochs - 1));
      at("rewind-epoch").value = String(Math.min(Math.max(epoch, 0), epochs));
    });
    figure.replaceChildren(cell("figcaption", name), svg);
  };

  const drawCurves = () => {
    const names = [...new Set(Object.values(seen.curves).flatMap((logs) => Object.keys(logs)))]
      .map((name) => name.replace(/^val_/, ""));
    const panels = ["loss", ...new Set(names)].filter((name, i, all) => all.indexOf(name) === i);
    const places = at("panels");
    while (places.children.length > panels.length) places.lastChild.remove();
    while (places.children.length < panels.length) places.append(document.createElement("figure"));
    panels.forEach((name, i) => drawPanel(name, places.children[i]));
  };

  const drawBranches = () => {
    const running = seen.state !== "stopped";
    at("metric").textContent = `Watched ${seen.metric}`;
    at("rows").replaceChildren(...seen.branches.map((branch, i) => {
      const row = document.createElement("tr");
      row.className = branch.name === seen.branch ? "present" : "";
      const head = cell("th", "");
      head.scope = "row";
      const swatch = cell("span", "", "swatch");
      swatch.style.backgroundColor = colour(i);
      head.append(swatch, branch.name);
      const go = cell("button", "Go on");
      go.type = "button";
      go.disabled = !running || branch.epochs === 0;
      go.addEventListener("click", () => ask({ do: "rewind", values: { epoch: branch.epochs }, branch: branch.name }));
      const last = document.createElement("td");
      last.append(go);
      const best = branch.best_val_loss ? `${digits(branch.best_val_loss[0])} at ${branch.best_val_loss[1]}` : "–";
      row.append(head, last,
        cell("td", branch.parent ? `${branch.parent} at ${branch.start}` : "first weights"),
        cell("td", String(branch.epochs), "num"), cell("td", digits(branch.loss), "num"),
        cell("td", digits(branch.val_loss), "num"), cell("td", best, "num"), cell("td", digits(branch.watched), "num"),
        cell("td", branch.settings || "nothing"));
      return row;
    }));
    const select = at("rewind-branch"), chosen = select.value;
    if (select.options.length !== seen.branches.length) {
      select.replaceChildren(...seen.branches.map((branch) => new Option(branch.name, branch.name)));
      select.value = seen.branches.some((branch) => branch.name === chosen) ? chosen : seen.branch;
    }
  };

  const draw = () => {
    const last = seen.branches.find((branch) => branch.name === seen.branch);
    const curves = seen.curves[seen.branch];
    const now = (name) => (curves[name] ? curves[name][seen.epoch - 1] ?? null : null);
    const words = { running: "Training", paused: "Paused", done: "Done with the epochs planned", stopped: "Stopped" };
    at("state").textContent = words[seen.state];
    at("branch").textContent = seen.branch;
    at("epoch").textContent = `${seen.epoch} of ${seen.goal}`;
    at("loss").textContent = digits(now("loss"));
    at("val_loss").textContent = digits(now("val_loss"));
    at("best").textContent = last.best_val_loss ? `lowest ${digits(last.best_val_loss[0])} after epoch ${last.best_val_loss[1]}` : "";
    at("models").textContent = seen.models > 1 ? ` Means over ${seen.models} models.` : "";
    at("kept").textContent = seen.kept.join(", ");
    const ended = seen.state === "stopped";
    document.querySelectorAll(".controls button").forEach((button) => { button.disabled = ended; });
    at("pause").disabled = ended || seen.state !== "running";
    at("resume").disabled = ended || seen.state !== "paused";
    NAMES.forEach((name) => {
      at(name).placeholder = name in seen.settings ? digits(seen.settings[name]) : "as built";
    });
    drawCurves();
    drawBranches();
    at("said").replaceChildren(...seen.said.map((line) => cell("li", line)));
    at("said").scrollTop = at("said").scrollHeight;
    document.documentElement.dataset.version = String(version);
  };

  const poll = async () => {
    try {
      const reply = await fetch(`state?have=${version}`);
      if (reply.status === 200) {
        seen = await reply.json();
        version = seen.version;
        draw();
      }
    } catch {
      at("state").textContent = "The training has ended";
      document.querySelectorAll("button").forEach((button) => { button.disabled = true; });
      return false;
    }
    return true;
  };

  at("pause").addEventListener("click", () => ask({ do: "pause" }));
  at("resume").addEventListener("click", () => ask({ do: "resume" }));
  at("stop").addEventListener("click", () => ask({ do: "stop" }));
  at("train").addEventListener("click", () => ask({ do: "train", values: { epochs: typed("epochs") } }));
  at("rewind").addEventListener("click", () =>
    ask({ do: "rewind", values: { epoch: typed("rewind-epoch") }, branch: at("rewind-branch").value || null }));
  const set = () => {
    const values = Object.fromEntries(NAMES.filter((name) => at(name).value.trim() !== "").map((name) => [name, typed(name)]));
    ask({ do: "set", values }).then(() => {
      if (at("answer").className === "done") NAMES.forEach((name) => { at(name).value = ""; });
    });
  };
  at("set").addEventListener("click", set);
  NAMES.forEach((name) => at(name).addEventListener("keydown", (event) => { if (event.key === "Enter") set(); }));
  dark.addEventListener("change", () => seen && draw());
  const go = async () => { if (await poll()) window.setTimeout(go, seen && seen.state === "stopped" ? 5000 : 1000); };
  go();
})();
