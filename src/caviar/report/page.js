// Draws the figures: unpacks the drawing library, fills each place, and follows the reader's theme and choice.
(async () => {
  "use strict";
  const LIGHTER = {
    "#ffffff": "#14171a", "#1b1f24": "#e6e9ec", "#5b6470": "#a0a9b3", "#d7dce1": "#363d45", "#e9edf0": "#262c32",
    "#0067a3": "#6cc0f0", "#b84a00": "#f2a65e", "#007a59": "#52cfa6",
    "#8e3b77": "#d89ac6", "#7a6200": "#d9c25a", "#a3262a": "#f08a8d",
    "rgba(0,103,163,0.16)": "rgba(108,192,240,0.18)", "rgba(91,100,112,0.14)": "rgba(160,169,179,0.16)",
    "rgba(184,74,0,0.16)": "rgba(242,166,94,0.18)",
  };
  // Widths in pixels that fit A4 and Letter: while a browser prepares to print, the page still has its screen width.
  const PAPER = { figure: 670, panel: 325 };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();
  let printing = false;

  const unpacked = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const themed = (value) => {
    if (typeof value === "string") return LIGHTER[value] ?? value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(themed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, themed(part)]));
  };

  // A figure may have a drawing of its own for narrow places.
  const draw = (canvas, drawings) => {
    drawn.set(canvas, drawings);
    const width = printing ? PAPER[canvas.closest(".panels") ? "panel" : "figure"] : canvas.clientWidth || undefined;
    const figure = (width < 620 && drawings.narrow) || drawings.wide;
    const shown = dark.matches && !printing ? themed(figure) : structuredClone(figure);
    return Plotly.react(canvas, shown.data, { ...shown.layout, width }, { displayModeBar: false, scrollZoom: false });
  };

  const redraw = () => drawn.forEach((drawings, canvas) => draw(canvas, drawings));

  const place = (parent, drawings) => {
    const holder = document.createElement("figure");
    const canvas = document.createElement("div");
    canvas.className = "canvas";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", drawings.description);
    holder.append(canvas);
    parent.append(holder);
    return () => draw(canvas, drawings);
  };

  const showArm = (slot, arm) => {
    const panels = slot.querySelector(".panels");
    panels.querySelectorAll(".canvas").forEach((canvas) => {
      drawn.delete(canvas);
      Plotly.purge(canvas);
    });
    panels.replaceChildren();
    // All places first: each one's width depends on how many there are.
    arm.panels.map((panel) => place(panels, panel)).forEach((fill) => fill());
    slot.querySelector(".notes").textContent = arm.notes.join(" ");
  };

  const drawAll = () => {
    const data = JSON.parse(document.getElementById("figure-data").textContent);
    document.querySelectorAll("[data-figure]").forEach((holder) => {
      const fill = () => draw(holder.querySelector(".canvas"), data.figures[holder.dataset.figure]);
      const shut = holder.closest("details.later:not([open])");
      if (!shut) fill();
      else {
        waitingFor.push(fill);
        shut.addEventListener("toggle", fill, { once: true });
      }
    });
    const arms = new Map(Object.entries(data.curves));
    const first = document.querySelector('[data-slot="first"]');
    if (first) showArm(first, arms.get(first.querySelector(".panels").dataset.arm));
    const second = document.querySelector('[data-slot="second"]');
    if (second) {
      const select = document.getElementById("arm-select");
      select.addEventListener("change", () => showArm(second, arms.get(select.value)));
      showArm(second, arms.get(select.value));
    }
  };

  // Answers of a learner: what is right stands in the question's attributes.
  const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, " ").trim();
  const isRight = (question) => {
    const right = JSON.parse(question.dataset.right);
    if (question.dataset.kind === "match") {
      return [...question.querySelectorAll("select")].every((select, i) => select.value === String(right[i]));
    }
    if (question.dataset.kind === "choice") {
      const chosen = [...question.querySelectorAll("input:checked")].map((input) => Number(input.value));
      const fewest = question.dataset.every === "true" ? right.length : 1;
      return chosen.length >= fewest && chosen.every((place) => right.includes(place));
    }
    const names = Object.entries(JSON.parse(question.dataset.accepted)).map(([name, others]) => [name, ...others].map(plain));
    const said = [...question.querySelectorAll("input")].map((input) => plain(input.value)).filter(Boolean);
    const found = new Set(said.map((text) => names.findIndex((spellings) => spellings.includes(text))));
    found.delete(-1);
    return found.size >= Number(question.dataset.wanted);
  };
  document.querySelectorAll(".question").forEach((question) => {
    question.querySelector("button.check").addEventListener("click", () => {
      const right = isRight(question);
      question.querySelector("output").textContent = right ? "Right." : "Not quite.";
      question.querySelector("details.answer").open = right;
    });
  });

  const waitingFor = [];
  const opened = [];
  const beforePrint = () => {
    printing = true;
    waitingFor.splice(0).forEach((fill) => fill());
    document.querySelectorAll("details:not([open], .long)").forEach((details) => {
      details.open = true;
      opened.push(details);
    });
    redraw();
  };
  const afterPrint = () => {
    printing = false;
    opened.splice(0).forEach((details) => { details.open = false; });
    redraw();
  };

  try {
    const library = document.createElement("script");
    library.textContent = await unpacked("plotly");
    document.head.append(library);
    drawAll();
    dark.addEventListener("change", redraw);
    window.addEventListener("beforeprint", beforePrint);
    window.addEventListener("afterprint", afterPrint);
    let waiting = 0;
    window.addEventListener("resize", () => {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(redraw, 150);
    });
    document.documentElement.dataset.figures = "drawn";
  } catch (error) {
    document.documentElement.dataset.figures = "failed";
    document.querySelectorAll("[data-figure], .panels").forEach((holder) => {
      const note = document.createElement("p");
      note.className = "quiet";
      note.textContent = `This browser could not draw the figure (${error.message}). The table has the same numbers.`;
      holder.replaceChildren(note);
    });
  }
})();
