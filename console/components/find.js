import { go, parts } from "holdfast";

export default {
  components: parts,
  data: () => ({ text: "" }),
  methods: {
    open() {
      go("/jobs" + (this.text.trim() ? "?" + new URLSearchParams({ q: this.text.trim() }) : ""));
    },
  },
  template: `
    <form class="find hide" role="search" @submit.prevent="open"><hf-icon name="search" />
      <input v-model="text" data-find placeholder="Find a job" aria-label="Find a job" autocomplete="off" spellcheck="false"><kbd aria-hidden="true">/</kbd>
    </form>`,
};
