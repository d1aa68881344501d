import { parts } from "holdfast";

export default {
  components: parts,
  props: { figures: Array },
  template: `
    <section class="grid figures" aria-label="Key figures">
      <div v-for="f in figures" :key="f.label" class="card figure">
        <div class="l">{{ f.label }}</div>
        <div class="v">{{ f.value }}<small v-if="f.unit">{{ f.unit }}</small></div>
        <div class="f"><b v-if="f.strong" :class="f.tone">{{ f.strong }}</b><span class="cut">{{ f.foot }}</span></div>
        <span v-if="f.share != null" class="slot"><span class="bar"><i :class="{ hot: f.share >= 1 }" :style="{ width: Math.min(100, f.share * 100) + '%' }"></i></span></span>
        <span v-else class="sparkbox" :title="f.about"><hf-spark :values="f.series" :tone="f.color" /></span>
      </div>
    </section>`,
};
