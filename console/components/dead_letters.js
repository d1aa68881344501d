// Dead jobs by cause: one card a fingerprint.
import { parts, words } from "holdfast";

export default {
  components: parts,
  props: { groups: Array, may: Boolean },
  emits: ["revive", "remove"],
  methods: {
    ...words,
    link: (group) => "/jobs?" + new URLSearchParams({ state: "dead", q: group.filter }),
    names: (list) => (list.length > 3 ? `${list.slice(0, 3).join(", ")} and ${list.length - 3} more` : list.join(", ")),
  },
  template: `
    <ul class="groups">
      <li v-for="group in groups" :key="group.key" class="card group">
        <div class="what">
          <h2><b>{{ group.type || "Ended without an error" }}</b> <span class="msg">{{ group.message }}</span></h2>
          <p class="muted"><span class="cut">{{ names(group.tasks) }}</span> in <span class="cut">{{ names(group.queues) }}</span></p>
        </div>
        <dl>
          <div><dt>Jobs</dt><dd class="num">{{ count(group.n) }}</dd></div>
          <div><dt>First seen</dt><dd :title="stamp(group.first)">{{ ago(group.first) }}</dd></div>
          <div><dt>Last seen</dt><dd :title="stamp(group.last)">{{ ago(group.last) }}</dd></div>
        </dl>
        <div class="acts">
          <a class="btn mini" :href="link(group)">Show jobs</a>
          <a v-if="group.sample" class="btn mini nx" :href="'/jobs/' + group.sample">Newest</a>
          <span class="sp"></span>
          <button class="btn mini bad" :disabled="!may" @click="$emit('remove', group.key)"><hf-icon name="trash" />Delete</button>
          <button class="btn mini pri" :disabled="!may" @click="$emit('revive', group.key)"><hf-icon name="retry" />Retry {{ count(group.n) }}</button>
        </div>
      </li>
    </ul>`,
};
