// Draws the charts of a Ballast page from the JSON beside each canvas, keeps them in the colours of the page, and
// serves the theme and copy buttons. Every chart's numbers also stand in the page as a table, so nothing is lost
// without JavaScript.
"use strict";
(() => {
  const root = document.documentElement;
  const memory = {  // storage may be forbidden for pages opened from a file
    get() { try { return localStorage.getItem("ballast-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("ballast-theme", value); } catch { /* the choice lasts for this view */ } },
  };
  const kept = memory.get();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  const dark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  // Okabe and Ito's colours, told apart by colour-blind readers; darker on paper, lighter on a dark page. Shapes and
  // dashes tell the series apart once more, for prints in grey.
  const PALETTE = {
    light: ["#0072b2", "#d55e00", "#00876a", "#b0508c", "#a87800", "#3a8fc4", "#5f6a70", "#7a3e9d"],
    dark: ["#56b4e9", "#ff9d5c", "#35c9a3", "#e59bc6", "#f0d24a", "#9cc9ff", "#b8c2c8", "#c79bec"],
  };
  const SHAPES = ["circle", "rect", "triangle", "rectRot", "cross", "star", "crossRot", "rectRounded"];
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4], [1, 2], [6, 2, 2, 2, 2, 2]];

  const plain = (v) => {
    if (v === 0) return "0";
    const size = Math.abs(v);
    if (size >= 1e6 || size < 1e-3) return v.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    return String(+v.toPrecision(4));
  };
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const plotted = (v, log) => v !== null && Number.isFinite(v) && !(log && v <= 0);

  function dataset(series, chart, index) {
    const color = PALETTE[dark() ? "dark" : "light"][index % 8];
    const place = chart.kind === "bar" || chart.kind === "radar" || series.xs.length === 0;
    const radial = chart.kind === "radar" && chart.y_log;
    const y = (v) => (!plotted(v, chart.y_log) ? null : radial ? Math.log10(v) : v);
    const data = place
      ? series.ys.map(y)
      : series.xs.map((x, i) => ({ x: plotted(x, chart.x_log) ? x : NaN, y: plotted(x, chart.x_log) ? y(series.ys[i] ?? null) ?? NaN : NaN }));
    const many = series.ys.length > 60;
    return {
      label: series.name, data, borderColor: color, spanGaps: false,
      backgroundColor: chart.kind === "bar" ? color : color + (chart.kind === "radar" ? "22" : "cc"),
      borderWidth: chart.kind === "bar" ? 0 : 2, borderDash: chart.kind === "bar" ? [] : DASHES[index % 8],
      pointStyle: SHAPES[index % 8], pointRadius: chart.kind === "scatter" ? (many ? 2 : 4) : many ? 0 : 3.5,
      pointHitRadius: 8, pointBackgroundColor: color, showLine: chart.kind !== "scatter", tension: 0,
      maxBarThickness: 56,
    };
  }

  function axis(title, log, category, upright, ink, line) {
    const ticks = { color: ink, maxRotation: 50 };
    if (!category) {
      ticks.callback = function (value) {
        if (!log) return plain(value);
        // On a logarithmic axis: the powers of ten, and 2 and 5 where few decades are shown.
        const lead = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
        const decades = Math.log10(this.max / this.min);
        const near = (n) => Math.abs(lead - n) < 1e-6;
        return near(1) || (decades < 3 && (near(2) || near(5))) ? plain(value) : "";
      };
    }
    return {
      type: category ? "category" : log ? "logarithmic" : "linear",
      title: { display: title !== "", text: title + (log ? " (log)" : ""), color: ink },
      ticks, grid: { color: line, borderColor: line, display: !category }, grace: upright && !log ? "4%" : undefined,
    };
  }

  function settings(chart) {
    const ink = css("--ink"), line = css("--line");
    const places = chart.kind === "bar" || chart.series.every((s) => s.xs.length === 0);
    const longest = Math.max(0, ...chart.series.map((s) => s.ys.length));
    const labels = chart.labels.length ? chart.labels : places || chart.kind === "radar" ? Array.from({ length: longest }, (_, i) => String(i + 1)) : [];
    const radar = chart.kind === "radar";
    const value = (v) => plain(radar && chart.y_log ? 10 ** v : v);
    return {
      type: chart.kind === "bar" || radar ? chart.kind : "line",
      data: { labels, datasets: chart.series.map((s, i) => dataset(s, chart, i)) },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, color: ink, normalized: false,
        interaction: { mode: radar ? "point" : "nearest", intersect: false },
        scales: radar
          ? { r: { angleLines: { color: line }, grid: { color: line }, pointLabels: { color: ink },
                   ticks: { color: ink, backdropColor: "transparent", callback: value, stepSize: chart.y_log ? 1 : undefined } } }
          : { x: axis(chart.x_label, chart.x_log && !places, places, false, ink, line), y: axis(chart.y_label, chart.y_log, false, true, ink, line) },
        plugins: {
          legend: { display: chart.series.length > 1, labels: { usePointStyle: chart.kind !== "bar", color: ink } },
          tooltip: {
            callbacks: {
              title: (items) => (items.length && !places && !radar ? `${chart.x_label || "x"}: ${plain(items[0].parsed.x)}` : items[0]?.label ?? ""),
              label: (item) => `${item.dataset.label}: ${value(radar ? item.parsed.r : item.parsed.y)}`,
            },
          },
        },
      },
    };
  }

  const drawn = [];
  function draw(holder) {
    const chart = JSON.parse(holder.querySelector("script").textContent);
    const canvas = holder.querySelector("canvas");
    drawn.push({ chart, object: new Chart(canvas, settings(chart)) });
    holder.dataset.drawn = String(inked(canvas));
  }
  // Whether anything was painted: asked once a chart, so that a test can read it in the page.
  function inked(canvas) {
    const { width, height } = canvas;
    if (!width || !height) return false;
    return canvas.getContext("2d").getImageData(0, 0, width, height).data.some((v) => v !== 0);
  }
  function recolour() {
    for (const { chart, object } of drawn) {
      const fresh = settings(chart);
      object.data.datasets.forEach((old, i) => Object.assign(old, fresh.data.datasets[i]));
      object.options = fresh.options;
      object.update("none");
    }
  }

  function theme_button() {
    const button = document.getElementById("theme");
    const say = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Show this page ${dark() ? "light" : "dark"}`); };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      memory.set(root.dataset.theme);
      say();
      recolour();
    });
    system.addEventListener("change", () => { say(); recolour(); });
    say();
    button.hidden = false;
  }

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* older browsers, pages from a file */ }
    const field = document.createElement("textarea");
    field.value = text;
    field.style.position = "fixed";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }

  document.addEventListener("DOMContentLoaded", () => {
    theme_button();
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    for (const holder of document.querySelectorAll(".canvas")) {
      try { draw(holder); } catch (error) { holder.dataset.drawn = "false"; console.error(`chart '${holder.id}': ${error}`); }
    }
    root.dataset.charts = `${document.querySelectorAll('.canvas[data-drawn="true"]').length}/${document.querySelectorAll(".canvas").length}`;
    for (const button of document.querySelectorAll(".command button")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        button.textContent = (await copy(button.parentElement.querySelector("code").textContent)) ? "Copied" : "Select and copy";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    }
    for (const row of document.querySelectorAll("time[datetime]")) row.textContent = new Date(row.dateTime).toLocaleString();
  });
  addEventListener("beforeprint", () => { printing = true; recolour(); drawn.forEach((d) => d.object.resize(660, 330)); });
  addEventListener("afterprint", () => { printing = false; recolour(); drawn.forEach((d) => d.object.resize()); });
})();
