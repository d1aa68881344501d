// Bundles: signed and sealed files carried between homes.  A file is looked into first; it is taken in when a person agrees.
import { parts, words } from "holdfast";

const PLACE = "/v1/airgap/bundles";
const TYPE = "application/vnd.holdfast.bundle";
const STATES = {
  preparing: "Being made", carried: "Away", returned: "All came back", released: "Released", sent: "Sent", delivered: "Delivered",
  importing: "Being taken in", running: "Running here", ended: "Ended, results owed", reported: "Results sent", applied: "Applied",
};
const TONES = { carried: "run", running: "run", importing: "run", preparing: "run", sent: "run", ended: "warn", returned: "good", delivered: "good", applied: "good", reported: "good" };
const OPEN = new Set(["preparing", "carried", "importing", "running", "ended"]);

export default {
  components: parts,
  props: { rows: Array, may: Object, wrong: String },
  emits: ["make", "taken", "release", "failed"],
  data: () => ({ file: null, look: null, busy: false }),
  methods: {
    ...words,
    word: (b) => STATES[b.state] ?? b.state,
    tone: (b) => TONES[b.state] ?? "",
    address: (b) => `${PLACE}/${encodeURIComponent(b.id)}/file`,
    releasable: (b) => b.kind === "jobs" && OPEN.has(b.state),
    async chosen(event) {
      this.file = event.target.files[0] ?? null;
      event.target.value = "";
      if (this.file) this.look = await this.sent(true);
    },
    async take() {
      const taken = await this.sent(false);
      if (taken) this.$emit("taken", taken);
      this.drop();
    },
    drop() {
      this.file = this.look = null;
    },
    async sent(dry) {
      this.busy = true;
      try {
        const answer = await fetch(`${PLACE}?dry_run=${dry}`, { method: "POST", headers: { "Content-Type": TYPE }, body: this.file });
        const told = await answer.json();
        if (answer.ok) return told;
        this.$emit("failed", told.detail || told.title || `answered with ${answer.status}`);
      } catch {
        this.$emit("failed", "The file could not be sent; is the console there?");
      } finally {
        this.busy = false;
      }
      this.file = null;
      return null;
    },
  },
  template: `
    <section class="card bundles" aria-label="Bundles">
      <header><h2>Bundles</h2><span class="sp"></span>
        <label class="btn mini" :class="{ off: !may.take }" :aria-busy="busy"><hf-icon name="upload" />Take in…<input class="sr" type="file" accept=".hfb" :disabled="!may.take || busy" aria-label="Take in a bundle" @change="chosen"></label>
        <button class="btn mini" :disabled="!may.make" @click="$emit('make')"><hf-icon name="bundle" />Make one…</button></header>
      <div v-if="look" class="looked" role="status"><hf-icon name="bundle" /><div><b>{{ count(look.count) }} {{ look.kind }} from {{ look.peer }}</b>
        <p>Signature and seal are right. {{ count(look.new) }} new, {{ count(look.known) }} known already<template v-if="look.refused">, {{ count(look.refused) }} not theirs to tell</template>.<template v-if="look.unknown_tasks?.length"> No such task here: {{ look.unknown_tasks.join(", ") }}.</template></p></div>
        <div class="acts"><button class="btn mini" @click="drop">Leave it</button><button class="btn mini pri" :aria-busy="busy" @click="take">Take in</button></div></div>
      <div v-if="rows.length" class="tw"><table class="t">
        <thead><tr><th scope="col">Bundle</th><th scope="col">State</th><th scope="col">Through</th><th scope="col" class="nx">Home</th><th scope="col" class="r nx">Size</th><th scope="col" class="r nx">When</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
        <tbody><tr v-for="b in rows" :key="b.id">
          <td><span class="way"><hf-icon :name="b.direction === 'out' ? 'upload' : 'download'" /><span class="cut" :title="b.id">{{ b.direction === "out" ? "Out" : "In" }}: {{ b.kind }}</span></span></td>
          <td><span class="pill" :class="tone(b)">{{ word(b) }}</span></td>
          <td><span class="cap"><span class="bar"><i :style="{ width: (b.jobs ? (b.done / b.jobs) * 100 : 100) + '%' }"></i></span><span class="num muted">{{ count(b.done) }}/{{ count(b.jobs) }}</span><span v-if="b.conflicts" class="wr">{{ count(b.conflicts) }} {{ b.conflicts === 1 ? "conflict" : "conflicts" }}</span></span></td>
          <td class="nx"><span class="cut home" :title="b.peer">{{ b.peer }}</span></td><td class="r nx">{{ bytes(b.bytes) }}</td><td class="r nx" :title="stamp(b.at)">{{ ago(b.at) }}</td>
          <td class="r"><a v-if="b.file" class="btn mini" :href="address(b)" :download="b.id + '.hfb'" target="_blank" :aria-label="'Download ' + b.id"><hf-icon name="download" /></a> <button v-if="releasable(b)" class="btn mini" :disabled="!may.release" @click="$emit('release', b.id)">Release</button></td>
        </tr></tbody>
      </table></div>
      <div v-else class="teach"><p>{{ wrong || "Where no network reaches, jobs travel in a file: make a bundle of jobs for a home that you trust, carry it there, and bring back the bundle with their results. It is signed and sealed; no job runs twice." }}</p></div>
    </section>`,
};
