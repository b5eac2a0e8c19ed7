// Live listening: plays the audio of a source as it comes, and shows on every view that somebody listens.

import { h, icon, setText, toast } from "./dom.js";
import { monitor, on } from "./state.js";
import { session, unlock } from "./session.js";
import { t } from "./strings.js";

const TYPE = 'audio/webm; codecs="opus"';
const AHEAD_SECONDS = 0.3; // of audio that waits to be played, against hiccups of the network
const BEHIND_SECONDS = 0.8; // from which the player jumps to the newest audio
const KEPT_SECONDS = 10; // of audio that was played
const EAR = "M4 14v-2a8 8 0 0 1 16 0v2M4 14h4v6H6a2 2 0 0 1-2-2zM20 14h-4v6h2a2 2 0 0 0 2-2z";

const Media = window.ManagedMediaSource ?? window.MediaSource; // an iPhone has only the first
const changes = new EventTarget();

let playing = null; // { source, id, level, close }

/** Source that this page plays, or null. */
export const heard = () => playing?.source ?? null;

/** Level of what this page plays, in dB of full scale; null if it plays nothing. */
export const heardLevel = () => playing?.level() ?? null;

/** Call `listener` whenever `heard` changes; returns a function that unsubscribes. */
export function onHeard(listener) {
  changes.addEventListener("change", listener);
  return () => changes.removeEventListener("change", listener);
}

function set(now) {
  playing?.close();
  playing = now;
  changes.dispatchEvent(new Event("change"));
}

export const stopListening = () => set(null);

/** Play a source in place of another one; asks for the token first if needed, and shows an error. */
async function listenTo(source) {
  if (!session.listen && !(await unlock("listen"))) return;
  const sound = new AudioContext();
  const analyser = sound.createAnalyser();
  const audio = new Audio();
  const request = new AbortController();
  sound.createMediaElementSource(audio).connect(analyser).connect(sound.destination);
  const mine = { source, id: null, level: () => levelOf(analyser), close };
  function close() {
    request.abort();
    audio.removeAttribute("src");
    audio.load();
    sound.close();
  }
  const fail = (error) => {
    if (playing !== mine) return;
    stopListening();
    toast(t.listen.failed(error.message));
  };
  set(mine);
  try {
    const path = `api/sources/${encodeURIComponent(source)}/listen`;
    if (!Media?.isTypeSupported(TYPE)) {
      audio.src = path; // an older browser waits longer before it plays
      await audio.play();
      return;
    }
    const answer = await fetch(path, { cache: "no-store", signal: request.signal });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    mine.id = answer.headers.get("x-listen-id");
    await playStream(audio, answer.body, fail);
    setTimeout(() => playing === mine && stopListening(), 2000); // the live stream says why before that
  } catch (error) {
    fail(error);
  }
}

/** Play a stream until it ends, close to its newest audio. */
async function playStream(audio, body, fail) {
  const media = new Media();
  const opened = new Promise((resolve) => media.addEventListener("sourceopen", resolve, { once: true }));
  audio.disableRemotePlayback = true; // or an iPhone opens no ManagedMediaSource
  audio.src = URL.createObjectURL(media);
  await opened;
  URL.revokeObjectURL(audio.src);
  const buffer = media.addSourceBuffer(TYPE);
  const updated = () => new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
  const reader = body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    buffer.appendBuffer(part.value);
    await updated();
    const { buffered } = buffer;
    if (!buffered.length) continue;
    const newest = buffered.end(buffered.length - 1);
    if (newest - audio.currentTime > BEHIND_SECONDS) audio.currentTime = newest - AHEAD_SECONDS;
    if (audio.paused && newest >= AHEAD_SECONDS) audio.play().catch(fail);
    if (audio.currentTime - buffered.start(0) > 2 * KEPT_SECONDS) {
      buffer.remove(0, audio.currentTime - KEPT_SECONDS);
      await updated();
    }
  }
}

function levelOf(analyser) {
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  return 10 * Math.log10(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length + 1e-10);
}

/** Button that plays a source, or stops; hidden where the monitor lets nobody listen. */
export function listenButton(source) {
  const button = h("button", { onclick: () => (heard() === source() ? stopListening() : listenTo(source())) }, icon(EAR), h("span", {}));
  const refresh = () => {
    const on = heard() === source();
    button.hidden = !monitor.listenable;
    button.setAttribute("aria-pressed", String(on));
    setText(button.lastChild, on ? t.listen.stop : t.listen.start);
  };
  refresh();
  return { element: button, refresh };
}

/** Strip that says on every view who is heard, with a button to stop if it is this page that listens. */
export function listenersStrip() {
  const text = h("span", {});
  const stop = h("button", { onclick: stopListening }, t.listen.stop);
  const element = h("div", { class: "listeners", role: "status", hidden: true }, icon(EAR), text, stop);
  const refresh = () => {
    const counts = Object.entries(monitor.listeners).filter(([, count]) => count > 0);
    element.hidden = !counts.length;
    stop.hidden = heard() === null;
    setText(text, counts.map(([source, count]) => t.listen.heard(source, count)).join(" "));
  };
  on("hello", refresh);
  on("listener", (listen) => {
    refresh();
    if (listen.ended_at === null || listen.id !== playing?.id) return;
    stopListening();
    toast(t.listen.ended(listen.source, t.listen.endReasons[listen.reason]));
  });
  on("state", (state) => state === "ended" && stopListening());
  onHeard(refresh);
  return element;
}
