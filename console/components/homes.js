// The card of this home, to be shown elsewhere, and the homes whose cards are trusted here.
import { parts, words } from "holdfast";

export default {
  components: parts,
  props: { home: Object, trusted: Array, may: Boolean },
  emits: ["trust", "distrust"],
  data: () => ({ copied: false }),
  methods: {
    ...words,
    async copy() {
      if (!navigator.clipboard) return; // only there on localhost and https
      await navigator.clipboard.writeText(this.home.card);
      this.copied = true;
      setTimeout(() => (this.copied = false), 1500);
    },
  },
  template: `
    <section class="card homes" aria-label="Homes">
      <header><h2>Homes</h2><span class="sp"></span><button class="btn mini" :disabled="!may" @click="$emit('trust')"><hf-icon name="key" />Trust…</button></header>
      <div v-if="home" class="own"><p class="muted">The card of this home: give it to those who are to trust it.</p>
        <div class="line"><code class="cut" :title="home.card">{{ home.card }}</code><button class="btn mini" @click="copy"><hf-icon name="copy" />{{ copied ? "Copied" : "Copy" }}</button></div>
        <p class="muted">Fingerprint <span class="mono">{{ home.fingerprint }}</span></p></div>
      <ul v-if="trusted.length"><li v-for="one in trusted" :key="one.name"><hf-icon name="key" /><div class="cut"><b class="cut">{{ one.name }}</b><span class="mono muted">{{ one.fingerprint }}</span></div><button class="btn mini" :disabled="!may" :aria-label="'Trust ' + one.name + ' no more'" @click="$emit('distrust', one.name)"><hf-icon name="trash" /></button></li></ul>
      <p v-else class="none">No other home is trusted yet.</p>
    </section>`,
};
