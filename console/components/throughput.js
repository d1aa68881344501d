// Jobs finished per minute by outcome, drawn by Plotly, which is fetched only once the chart comes into sight.  The figure
// (console/charts.py) and the first bars come as props; later bars through push(), so that a live chart costs a few bytes a
// minute.  Colours are CSS (one figure serves both themes).
import { count } from "holdfast";

const OUTCOMES = ["completed", "retried", "failed", "cancelled"];

export default {
  props: { figure: Object, bars: Object, step: Number, most: Number, version: String },
  data: () => ({ shown: false, total: 0, broken: false }),
  template: `
    <div class="chart">
      <div ref="plot" class="plot"></div>
      <div v-if="broken" class="over"><span>The chart could not be loaded</span></div>
      <div v-else-if="!shown" class="over"><span class="ghost" style="width: 40%"></span></div>
      <div v-else-if="!total" class="over"><span>No finished job to draw yet: a bar appears when its time is over</span></div>
      <span class="sr" role="img" :aria-label="said"></span>
    </div>`,
  computed: {
    said() {
      return `Jobs finished per minute by outcome; ${count(this.total)} in the time shown.`;
    },
  },
  created() {
    this.take();
  },
  mounted() {
    this.eye = new IntersectionObserver((seen) => seen.some((s) => s.isIntersecting) && this.draw(), { rootMargin: "200px" });
    this.eye.observe(this.$el);
    this.size = new ResizeObserver(() => this.Plotly && this.$refs.plot?.offsetParent && this.Plotly.Plots.resize(this.$refs.plot));
    this.size.observe(this.$el);
  },
  beforeUnmount() {
    this.eye.disconnect();
    this.size.disconnect();
    if (this.Plotly) this.Plotly.purge(this.$refs.plot);
  },
  watch: {
    version() {
      this.take();
      if (this.Plotly) this.Plotly.react(this.$refs.plot, this.traces(), this.layout(), { displayModeBar: false, responsive: false });
    },
  },
  methods: {
    take() {
      this.kept = { at: [...this.bars.at] };
      for (const name of OUTCOMES) this.kept[name] = [...this.bars[name]];
      this.sum();
    },
    sum() {
      this.total = Math.round((OUTCOMES.reduce((all, name) => all + this.kept[name].reduce((a, b) => a + b, 0), 0) * this.step) / 60);
    },
    traces() {
      const x = this.kept.at.map((at) => this.local(at));
      return OUTCOMES.map((name, place) => ({ ...this.figure.data[place], x: [...x], y: [...this.kept[name]] }));
    },
    layout() {
      const font = { ...this.figure.layout.font, family: getComputedStyle(document.body).fontFamily };
      return { ...JSON.parse(JSON.stringify(this.figure.layout)), font };
    },
    local(at) {
      const moved = new Date(at * 1000);
      return new Date(moved.getTime() - moved.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
    },
    async draw() {
      this.eye.disconnect();
      try {
        const { Plotly } = await import("nicegui-plotly");
        if (!this.$refs.plot) return;
        await Plotly.newPlot(this.$refs.plot, this.traces(), this.layout(), { displayModeBar: false, responsive: false });
        this.Plotly = Plotly;
        this.shown = true;
      } catch (problem) {
        this.broken = true;
        console.warn("chart:", problem);
      }
    },
    push(bars) {
      const last = this.kept.at.at(-1) ?? 0;
      const fresh = bars.at.map((at, i) => i).filter((i) => bars.at[i] > last);
      if (!fresh.length) return;
      for (const name of ["at", ...OUTCOMES]) this.kept[name] = [...this.kept[name], ...fresh.map((i) => bars[name][i])].slice(-this.most);
      this.sum();
      if (!this.Plotly) return;
      const x = fresh.map((i) => this.local(bars.at[i]));
      const added = { x: OUTCOMES.map(() => x), y: OUTCOMES.map((name) => fresh.map((i) => bars[name][i])) };
      this.Plotly.extendTraces(this.$refs.plot, added, [0, 1, 2, 3], this.most);
    },
  },
};
