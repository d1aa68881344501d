import { parts } from "holdfast";

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const ICONS = { auto: "auto", light: "sun", dark: "moon" };

export default {
  components: parts,
  data: () => ({ choice: window.holdfastTheme.choice }),
  computed: {
    icon() {
      return ICONS[this.choice];
    },
  },
  methods: {
    turn() {
      this.choice = NEXT[this.choice];
      window.holdfastTheme.set(this.choice);
    },
  },
  template: `<button class="btn ico" type="button" :aria-label="'Theme: ' + choice" :title="'Theme: ' + choice" @click="turn"><hf-icon :name="icon" /></button>`,
};
