// Pictures become figures that answer: toggles, axes, smoothing. Without this script they stay.
"use strict";

(() => {
  const config = JSON.parse(document.getElementById("figure-config").textContent);
  const parsed = new Map();
  const drawing = new Map();

  function content(figure) {
    if (!parsed.has(figure)) {
      parsed.set(figure, JSON.parse(figure.querySelector('script[type="application/json"]').textContent));
    }
    return parsed.get(figure);
  }

  function chosen(figure) {
    const state = {};
    for (const control of figure.querySelectorAll("[data-control]")) {
      state[control.dataset.control] = control.type === "checkbox" ? control.checked : control.value;
    }
    return state;
  }

  // Exponential smoothing without a bias towards the first value.
  function smoothed(values, weight) {
    let sum = 0;
    let mass = 0;
    return values.map((value) => {
      if (value === null) return null;
      sum = weight * sum + (1 - weight) * value;
      mass = weight * mass + (1 - weight);
      return sum / mass;
    });
  }

  function points(groups, state) {
    const parts = { valid: ["valid"], train: ["train"], both: ["valid", "train"] }[state.y];
    return groups.flatMap((group) => group.runs.flatMap((run) => parts.flatMap((part) => {
      const values = smoothed(run[part], Number(state.smooth));
      return values.map((y, i) => ({
        run: run.id, seed: run.seed, name: group.name, model: group.model,
        part: part === "valid" ? "validation" : "training", x: run[state.x][i], y,
      })).filter((point) => point.y !== null);
    })));
  }

  function each(spec, change) {
    for (const layer of spec.layer) change(layer.encoding);
  }

  function curves(figure, data, groups) {
    const state = { x: "epoch", y: "valid", logx: false, logy: true, smooth: 0, ...chosen(figure) };
    const spec = structuredClone(data.spec);
    const values = points(groups, state);
    spec.data = { values };
    const models = [...new Set(groups.map((group) => group.model))];
    each(spec, (encoding) => {
      if (encoding.x) {
        encoding.x.title = state.x === "epoch" ? "epochs" : "steps";
        encoding.x.scale = state.logx ? { type: "log", nice: false } : { zero: false, nice: false };
      }
      if (encoding.y.field === "y") {
        const positive = values.every((point) => point.y > 0);
        encoding.y.scale = state.logy && positive ? { type: "log", nice: false } : { zero: false };
      }
      if (encoding.color && encoding.color.field) {
        encoding.color.scale = {
          domain: models,
          range: models.map((model) => groups.find((group) => group.model === model).color),
        };
      }
    });
    return spec;
  }

  function plain(figure, data) {
    const spec = structuredClone(data.spec);
    const { field } = chosen(figure);
    if (field) {
      const words = figure.querySelector('[data-control="field"] option:checked').textContent;
      each(spec, (encoding) => { Object.assign(encoding.x, { field, title: words }); });
    }
    return spec;
  }

  function specOf(figure) {
    if (figure.dataset.run) {
      const whole = document.getElementById(figure.dataset.curves);
      if (!whole) return null;
      const data = content(whole);
      const group = data.groups.find((each) => each.runs.some((run) => run.id === figure.dataset.run));
      if (!group) return null;
      const runs = group.runs.filter((run) => run.id === figure.dataset.run);
      const own = { ...group, runs };
      const state = { y: runs[0].train.some((value) => value !== null) ? "both" : "valid" };
      const spec = curves(figure, data, [own]);
      spec.data.values = points([own], { x: "epoch", smooth: 0, ...state });
      spec.height = 260;
      return spec;
    }
    const data = content(figure);
    if (!data.groups) return plain(figure, data);
    const on = [...figure.querySelectorAll(".toggles .list input:checked")];
    return curves(figure, data, on.map((box) => data.groups[Number(box.value)]));
  }

  // Names of rows may take less than half of a narrow figure.
  function fit(spec, width) {
    each(spec, (encoding) => {
      const axis = encoding.y?.axis;
      if (axis?.labelLimit) encoding.y.axis = { ...axis, labelLimit: Math.min(axis.labelLimit, 0.42 * width) };
    });
    return { ...spec, width, config };
  }

  // What is drawn waits unseen until it is whole; of several turns the latest counts.
  async function draw(figure) {
    const spec = specOf(figure);
    if (!spec) return;
    const plot = figure.querySelector(".plot");
    const width = Math.floor(plot.clientWidth);
    const turn = (drawing.get(figure)?.turn ?? 0) + 1;
    drawing.set(figure, { ...drawing.get(figure), turn });
    const room = document.createElement("div");
    let result = null;
    if (spec.data.values?.length === 0) {
      room.className = "note";
      room.textContent = "Nothing is chosen.";
    } else {
      room.style.cssText = `position: absolute; visibility: hidden; width: ${width}px`;
      plot.append(room);
      result = await vegaEmbed(room, fit(spec, width), {
        actions: false, renderer: "svg", ast: true, defaultStyle: false,
        tooltip: { theme: "custom", disableDefaultStyle: true },
      });
    }
    const before = drawing.get(figure);
    if (before.turn !== turn) {
      result?.finalize();
      room.remove();
      return;
    }
    before.result?.finalize();
    room.removeAttribute("style");
    plot.replaceChildren(room);
    room.querySelector("svg")?.setAttribute("aria-hidden", "true");
    drawing.set(figure, { turn, result, width });
    figure.classList.add("drawn");
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && !drawing.has(target)) draw(target);
    }
  }, { rootMargin: "300px" });
  for (const figure of document.querySelectorAll("figure.figure")) seen.observe(figure);

  let resizing = 0;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const [figure, { width }] of drawing) {
        const now = Math.floor(figure.querySelector(".plot").clientWidth);
        if (!now) drawing.delete(figure), seen.unobserve(figure), seen.observe(figure);
        else if (width && now !== width) draw(figure);
      }
    }, 150);
  });

  document.addEventListener("input", (event) => {
    const figure = event.target.closest("figure.figure");
    if (!figure) return;
    if (event.target.matches(".find")) {
      const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const label of figure.querySelectorAll(".toggles .list label")) {
        const text = label.textContent.toLowerCase();
        label.hidden = !words.every((word) => text.includes(word));
      }
    } else {
      draw(figure);
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-all]");
    if (!button) return;
    const figure = button.closest("figure.figure");
    for (const label of figure.querySelectorAll(".toggles .list label:not([hidden])")) {
      label.querySelector("input").checked = button.dataset.all === "on";
    }
    draw(figure);
  });
})();
