// The link to Redis in one line: word, sign and colour, since when, and how much waits or is done.
import { LINKS, clock, parts, words } from "holdfast";

const CUT_OFF = new Set(["airgapped", "recovering"]);

export default {
  components: parts,
  props: { state: String, since: Number, reason: String, forced: Boolean, backlog: Number, share: Number },
  computed: {
    word() {
      return this.forced ? "Cut by hand" : (LINKS[this.state] ?? this.state);
    },
    more() {
      const told = [];
      if (this.share != null) told.push(`${Math.floor(this.share * 100)} % given to Redis`);
      else if (this.state === "airgapped") told.push(`for ${words.span(clock.now - this.since)}`);
      if (this.backlog && CUT_OFF.has(this.state)) told.push(`${words.count(this.backlog)} ${this.backlog === 1 ? "event waits" : "events wait"}`);
      return told.join(" · ");
    },
  },
  template: `<a class="seal" :class="state" href="/air-gap" :title="reason"><hf-icon :name="state" /><b>{{ word }}</b><span v-if="more" class="with cut">{{ more }}</span></a>`,
};
