// A page of jobs.  Rows are replaced in place, so a refresh keeps what is picked and where one has scrolled to.
import { clock, parts, words } from "holdfast";

export default {
  components: parts,
  props: { rows: Array, busy: Boolean, back: Boolean, more: Boolean, place: String, picked: Array },
  emits: ["pick", "turn"],
  data: () => ({ last: null }),
  computed: {
    all() {
      return this.rows.length > 0 && this.rows.every((row) => this.picked.includes(row.id));
    },
    some() {
      return this.picked.length > 0 && !this.all;
    },
  },
  methods: {
    ...words,
    ran: (row) => (row.state === "running" && row.started ? words.span(clock.now - row.started) : words.took(row.ran)),
    pickAll() {
      this.$emit("pick", this.all ? [] : this.rows.map((row) => row.id));
    },
    pick(index, event) {
      const ids = new Set(this.picked);
      const range = event.shiftKey && this.last !== null ? [this.last, index].sort((a, b) => a - b) : [index, index];
      const on = !ids.has(this.rows[index].id);
      for (const row of this.rows.slice(range[0], range[1] + 1)) on ? ids.add(row.id) : ids.delete(row.id);
      this.last = index;
      this.$emit("pick", this.rows.map((row) => row.id).filter((id) => ids.has(id)));
    },
  },
  template: `
    <section class="card jobs" :aria-busy="busy" aria-label="Jobs">
      <div class="tw"><table class="t">
        <thead><tr>
          <th scope="col" class="pickcell"><input type="checkbox" :checked="all" :indeterminate.prop="some" aria-label="Select all on this page" @click.prevent="pickAll"></th>
          <th scope="col">State</th><th scope="col">Job</th><th scope="col" class="nx">ID</th><th scope="col" class="nx">Queue</th>
          <th scope="col" class="r nx">Attempt</th><th scope="col" class="r end">Run time</th><th scope="col" class="r nx">Created</th><th scope="col" class="nx">Detail</th>
        </tr></thead>
        <tbody>
          <tr v-for="(row, index) in rows" :key="row.id" :class="{ picked: picked.includes(row.id) }">
            <td class="pickcell"><input type="checkbox" :checked="picked.includes(row.id)" :aria-label="'Select ' + row.id" @click.prevent="pick(index, $event)"></td>
            <td><hf-pill :state="row.state" /></td>
            <td><a class="n cut" :href="'/jobs/' + row.id" :title="row.task">{{ row.task }}</a></td>
            <td class="nx"><a class="mono muted" :href="'/jobs/' + row.id" tabindex="-1">{{ row.id.slice(-12) }}</a></td>
            <td class="nx"><span class="cut q" :title="row.queue">{{ row.queue }}</span></td>
            <td class="r nx">{{ row.attempt }}/{{ row.max }}</td>
            <td class="r end">{{ ran(row) }}</td>
            <td class="r nx" :title="stamp(row.created)">{{ ago(row.created) }}</td>
            <td class="nx last"><span v-if="row.error" class="cut err" :title="row.error">{{ row.error }}</span><span v-else-if="row.progress != null" class="cut"><span class="bar in"><i :style="{ width: row.progress * 100 + '%' }"></i></span> <span class="muted">{{ row.note }}</span></span><span v-else class="cut muted">{{ row.note }}</span></td>
          </tr>
        </tbody>
      </table></div>
      <slot v-if="!rows.length"></slot>
      <footer v-if="rows.length || back" class="pager">
        <span class="num">{{ place }}</span><span class="sp"></span>
        <button class="btn mini" :disabled="!back" @click="$emit('turn', 'back')"><hf-icon name="prev" />Newer</button>
        <button class="btn mini" :disabled="!more" @click="$emit('turn', 'more')">Older<hf-icon name="next" /></button>
      </footer>
    </section>`,
};
