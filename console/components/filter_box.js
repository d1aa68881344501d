// The filter of the jobs table: asks after a short rest in typing, shows what is wrong below, and teaches its words.
import { parts } from "holdfast";

const HINTS = [
  ["queue:emails", "jobs of a queue"], ["task:send*", "tasks whose name begins so"], ["error:timeout", "the last error holds this word"],
  ["since:1h", "created in the last hour; also until:"], ["is:rescued", "taken back from a worker that died"], ["-state:completed", "everything but"],
  ["tenant:acme", "jobs of a tenant"], ["report", "any word: id, task or error"],
];

export default {
  components: parts,
  props: { text: String, wrong: String, given: Number },
  emits: ["ask"],
  data() {
    return { value: this.text, open: false, hints: HINTS };
  },
  watch: {
    // the address changed the words, not the person who types here
    given() {
      clearTimeout(this.rest);
      this.value = this.text;
    },
  },
  beforeUnmount() {
    clearTimeout(this.rest);
  },
  methods: {
    typed() {
      this.open = false;
      clearTimeout(this.rest);
      this.rest = setTimeout(this.ask, 350);
    },
    ask() {
      clearTimeout(this.rest);
      this.$emit("ask", this.value.trim());
    },
    wipe() {
      this.value = "";
      this.ask();
      this.$refs.input.focus();
    },
    take(word) {
      this.value = (this.value.trim() + " " + word).trim();
      this.open = false;
      this.ask();
      this.$refs.input.focus();
    },
    left(event) {
      if (!this.$el.contains(event.relatedTarget)) this.open = false;
    },
  },
  template: `
    <form class="filter" role="search" @submit.prevent="ask" @focusout="left" @keydown.esc="open = false"><hf-icon name="search" />
      <input ref="input" v-model="value" data-find class="inp" placeholder="Filter: a word, or queue:emails error:timeout since:1h" aria-label="Filter jobs" autocomplete="off" spellcheck="false"
        :aria-invalid="!!wrong" aria-describedby="hf-wrong" @input="typed" @focus="open = !value" @click="open = !value">
      <button v-if="value" type="button" class="wipe" aria-label="Clear the filter" @click="wipe"><hf-icon name="cross" /></button>
      <p v-if="wrong" id="hf-wrong" class="wrong" role="alert">{{ wrong }}</p>
      <div v-if="open" class="hints" @mousedown.prevent><button v-for="[word, says] in hints" :key="word" type="button" @click="take(word)"><code>{{ word }}</code><span>{{ says }}</span></button></div>
    </form>`,
};
