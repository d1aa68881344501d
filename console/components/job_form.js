// The form behind "New job" and "Run again": what is wrong is shown at its field, and nothing typed is lost.
import { parts } from "holdfast";

export default {
  components: parts,
  props: { title: String, tasks: Array, start: Object, wrong: Object, busy: Boolean, fixed: Boolean, button: String },
  emits: ["send", "close"],
  data() {
    return { form: { task: "", args: "{}", queue: "", priority: "", delay: "", ...this.start }, local: {} };
  },
  mounted() {
    (this.fixed ? this.$refs.args : this.$refs.task)?.focus();
  },
  computed: {
    known() {
      return this.tasks.find((task) => task.name === this.form.task);
    },
    problems() {
      return { ...(this.wrong ?? {}), ...this.local };
    },
    other() {
      return Object.entries(this.problems).filter(([field]) => !["task", "args", "queue", "priority", "delay"].includes(field));
    },
  },
  methods: {
    picked() {
      if (this.known && (this.form.args.trim() === "" || this.form.args === this.filled || this.form.args === "{}")) this.form.args = this.filled = this.known.args;
    },
    send() {
      this.local = {};
      let args;
      try {
        args = JSON.parse(this.form.args.trim() || "{}");
      } catch (problem) {
        this.local = { args: `This is not JSON: ${problem.message}` };
      }
      if (args !== undefined && (args === null || Array.isArray(args) || typeof args !== "object")) this.local = { args: 'Arguments are an object, as in {"name": "value"}.' };
      if (!this.form.task) this.local = { ...this.local, task: "Choose a task." };
      if (this.form.delay !== "" && !(Number(this.form.delay) >= 0)) this.local = { ...this.local, delay: "A number of seconds, 0 or more." };
      if (!Object.keys(this.local).length) this.$emit("send", { ...this.form, args, delay: Number(this.form.delay) || 0 });
    },
  },
  template: `
    <form class="in" novalidate @submit.prevent="send" @keydown.ctrl.enter.prevent="send" @keydown.meta.enter.prevent="send">
      <h2>{{ title }}</h2>
      <div class="field"><label for="hf-task">Task</label>
        <input v-if="fixed" id="hf-task" class="inp mono" :value="form.task" disabled>
        <select v-else id="hf-task" ref="task" v-model="form.task" class="inp" :aria-invalid="!!problems.task" @change="picked"><option value="" disabled>Choose a task…</option><option v-for="task in tasks" :key="task.name" :value="task.name">{{ task.name }}</option></select>
        <p v-if="known && known.doc" class="doc">{{ known.doc }}</p><p v-if="problems.task" class="wrong" role="alert">{{ problems.task }}</p>
      </div>
      <div class="field"><label for="hf-args">Arguments, as JSON</label>
        <textarea id="hf-args" ref="args" v-model="form.args" class="inp mono" rows="7" spellcheck="false" autocapitalize="off" :aria-invalid="!!problems.args"></textarea>
        <p v-if="problems.args" class="wrong" role="alert">{{ problems.args }}</p>
      </div>
      <div class="three">
        <div class="field"><label for="hf-queue">Queue</label><input id="hf-queue" v-model.trim="form.queue" class="inp" :placeholder="known ? known.queue : ''" :aria-invalid="!!problems.queue"><p v-if="problems.queue" class="wrong" role="alert">{{ problems.queue }}</p></div>
        <div class="field"><label for="hf-priority">Priority</label><select id="hf-priority" v-model="form.priority" class="inp" :aria-invalid="!!problems.priority"><option value="">As the task says</option><option value="critical">Critical</option><option value="high">High</option><option value="normal">Normal</option><option value="low">Low</option></select><p v-if="problems.priority" class="wrong" role="alert">{{ problems.priority }}</p></div>
        <div class="field"><label for="hf-delay">Delay, seconds</label><input id="hf-delay" v-model="form.delay" class="inp" inputmode="decimal" placeholder="0" :aria-invalid="!!problems.delay"><p v-if="problems.delay" class="wrong" role="alert">{{ problems.delay }}</p></div>
      </div>
      <p v-for="[field, text] in other" :key="field" class="wrong" role="alert">{{ text }}</p>
      <div class="acts"><button type="button" class="btn" @click="$emit('close')">Cancel</button><button type="submit" class="btn pri" :aria-busy="busy">{{ button }}</button></div>
    </form>`,
};
