import { parts, words } from "holdfast";

export default {
  components: parts,
  props: { jobs: Array },
  methods: {
    ...words,
    note: (job) => job.error || job.progress || "",
    length: (job) => (job.state === "running" ? "…" : job.took == null ? "" : words.took(job.took)),
  },
  template: `
    <section class="card activity">
      <header><h2>Recent activity</h2><span class="sp"></span><a href="/jobs">All jobs</a></header>
      <ul v-if="jobs.length">
        <li v-for="job in jobs" :key="job.id"><a :href="'/jobs/' + job.id">
          <hf-pill :state="job.state" /><span class="cut"><span class="k cut">{{ job.task }}</span><span class="note cut">{{ note(job) || job.queue }}</span></span>
          <span class="r"><b>{{ length(job) }}</b>{{ ago(job.at) }}</span>
        </a></li>
      </ul>
      <div v-else class="empty"><p>Nothing has happened yet.</p></div>
    </section>`,
};
