import { clock, parts, words } from "holdfast";

const ICONS = { error: "alert", warning: "alert", info: "info" };

export default {
  components: parts,
  props: { items: Array },
  emits: ["act"],
  methods: {
    icon: (level) => ICONS[level] ?? "info",
    age: (item) => (item.since ? words.span(clock.now - item.since) : ""),
  },
  template: `
    <section class="card attention" aria-label="Needs attention">
      <header><h2>Needs attention</h2></header>
      <ul v-if="items.length">
        <li v-for="item in items" :key="item.title">
          <a :href="item.link" :class="item.level">
            <hf-icon :name="icon(item.level)" />
            <div><b>{{ item.title }}</b><p>{{ item.text }}</p></div>
            <span class="ago">{{ age(item) }}</span>
          </a>
          <button v-if="item.action" class="btn mini" @click="$emit('act')">{{ item.action }}</button>
        </li>
      </ul>
      <div v-else class="calm"><hf-icon name="check" /><b>All is well</b><p>Nothing waits too long, nothing died, the store has room.</p></div>
    </section>`,
};
