// A few fields in a dialog: what is wrong is shown at its field, and nothing typed is lost.
import { parts } from "holdfast";

export default {
  components: parts,
  props: { title: String, says: String, yes: String, fields: Array, wrong: Object, busy: Boolean, bad: Boolean },
  emits: ["send", "close"],
  data() {
    return { form: Object.fromEntries(this.fields.map((field) => [field.name, field.value ?? (field.kind === "many" ? [] : "")])) };
  },
  mounted() {
    this.$el.querySelector("input, textarea, select")?.focus();
  },
  computed: {
    other() {
      const names = new Set(this.fields.map((field) => field.name));
      return Object.entries(this.wrong ?? {}).filter(([name]) => !names.has(name));
    },
  },
  template: `
    <form class="in" novalidate @submit.prevent="$emit('send', form)" @keydown.ctrl.enter.prevent="$emit('send', form)" @keydown.meta.enter.prevent="$emit('send', form)">
      <h2>{{ title }}</h2>
      <p v-if="says">{{ says }}</p>
      <div v-for="field in fields" :key="field.name" class="field">
        <template v-if="field.kind === 'many'">
          <span class="label" :id="'hf-' + field.name">{{ field.label }}</span>
          <div class="many" role="group" :aria-labelledby="'hf-' + field.name"><label v-for="[value, label] in field.options" :key="value"><input v-model="form[field.name]" type="checkbox" :value="value">{{ label }}</label></div>
        </template>
        <template v-else>
          <label :for="'hf-' + field.name">{{ field.label }}</label>
          <textarea v-if="field.kind === 'lines'" :id="'hf-' + field.name" v-model="form[field.name]" class="inp" :class="{ mono: field.mono }" rows="3" :maxlength="field.most" :placeholder="field.example" :aria-invalid="!!wrong?.[field.name]"></textarea>
          <select v-else-if="field.kind === 'choice'" :id="'hf-' + field.name" v-model="form[field.name]" class="inp" :aria-invalid="!!wrong?.[field.name]"><option v-for="[value, label] in field.options" :key="value" :value="value">{{ label }}</option></select>
          <input v-else :id="'hf-' + field.name" v-model.trim="form[field.name]" class="inp" :inputmode="field.kind === 'number' ? 'numeric' : 'text'" :placeholder="field.example" autocomplete="off" :aria-invalid="!!wrong?.[field.name]">
        </template>
        <p v-if="field.hint" class="hint">{{ field.hint }}</p>
        <p v-if="wrong?.[field.name]" class="wrong" role="alert">{{ wrong[field.name] }}</p>
      </div>
      <p v-for="[name, text] in other" :key="name" class="wrong" role="alert">{{ text }}</p>
      <div class="acts"><button type="button" class="btn" @click="$emit('close')">Cancel</button><button type="submit" class="btn pri" :class="{ bad }" :aria-busy="busy">{{ yes }}</button></div>
    </form>`,
};
