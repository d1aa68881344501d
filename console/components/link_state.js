// The live dot and clock, and what belongs to the whole window: connection lost and found, keyboard, visibility.
import { clock, go, setServerTime, words } from "holdfast";

const PLACES = { o: "/", j: "/jobs", d: "/dead-letters", a: "/agents", l: "/air-gap" };
const PATIENCE = 4; // answers of the server without a socket
const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

export default {
  props: { at: Number, paused: Boolean },
  emits: ["seen", "help"],
  data: () => ({ connected: true, mayGo: false }),
  computed: {
    word() {
      if (!this.connected) return "Reconnecting";
      return this.silent ? `No news for ${words.span(clock.now - this.at)}` : this.paused ? "Paused" : "Live";
    },
    tone() {
      return !this.connected ? "bad" : this.paused || this.silent ? "warn" : "";
    },
    silent() {
      return this.at > 0 && clock.now - this.at > 8;
    },
    time: () => words.time(clock.now - clock.skew),
  },
  watch: {
    at: {
      immediate: true,
      handler(at) {
        if (at) setServerTime(at);
      },
    },
    connected(connected) {
      document.body.classList.toggle("offline", !connected);
    },
  },
  mounted() {
    this.undo = new AbortController();
    const signal = this.undo.signal;
    document.addEventListener("keydown", this.key, { signal });
    document.addEventListener("visibilitychange", () => this.$emit("seen", !document.hidden), { signal });
    document.addEventListener("click", (event) => event.target.closest(".side a") && document.body.classList.remove("navopen"), { signal });
    this.answers = 0;
    this.timer = setInterval(() => (this.connected = window.socket?.connected ?? true), 500);
    this.probe = setInterval(this.look, 2000);
  },
  beforeUnmount() {
    this.undo.abort();
    clearInterval(this.timer);
    clearInterval(this.probe);
  },
  methods: {
    // The server answers, but the socket does not come back by itself: the session has ended, say.  Load the page anew.
    async look() {
      if (this.connected) {
        this.answers = 0;
        return;
      }
      const answer = await fetch("/readyz", { cache: "no-store" }).catch(() => null);
      this.answers = answer?.ok ? this.answers + 1 : 0;
      if (this.answers >= PATIENCE && !window.socket?.connected) window.location.reload();
    },
    key(event) {
      if (event.metaKey || event.ctrlKey || event.altKey || typing(event.target) || document.querySelector(".q-dialog--modal")) return;
      if (event.key === "/") {
        event.preventDefault();
        document.querySelector("[data-find]")?.focus();
      } else if (event.key === "?") {
        this.$emit("help");
      } else if (event.key === "g") {
        this.mayGo = true;
        setTimeout(() => (this.mayGo = false), 1200);
      } else if (this.mayGo && PLACES[event.key]) {
        this.mayGo = false;
        go(PLACES[event.key]);
      }
    },
  },
  template: `<span class="conn"><i class="dot" :class="tone"></i><span role="status">{{ word }}</span><time class="hide">{{ time }}</time></span>`,
};
