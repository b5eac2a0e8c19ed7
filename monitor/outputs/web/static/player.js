// Player of a clip: a button, and below it the spectrogram and the controls; one plays at a time.

import { h, setText } from "./dom.js";
import * as format from "./format.js";
import { nameOf } from "./state.js";
import { t } from "./strings.js";

let playing = null;

/** Stop whatever plays. */
export const stopPlaying = () => playing?.();

/** @param {() => {clip: string?, label: string, started_at: number}?} eventOf returns the event as it is now */
export function clipPlayer(eventOf) {
  const button = h("button", { class: "play", onclick: toggle });
  const element = h("div", { class: "player", hidden: true });

  function show() {
    const event = eventOf();
    button.disabled = !event?.clip;
    button.setAttribute("aria-label", event ? t.events.play(nameOf(event.label), format.when(event.started_at)) : t.events.noClip);
    setText(button, element.hidden ? "▶" : "■");
  }

  function close() {
    if (playing === close) playing = null;
    element.querySelector("audio")?.pause();
    element.replaceChildren();
    element.hidden = true;
    show();
  }

  function toggle() {
    if (!element.hidden) return close();
    const event = eventOf();
    const audio = h("audio", { controls: true, preload: "auto", src: `api/clips/${event.clip}` });
    const line = h("i");
    const picture = h("img", { alt: t.events.picture(nameOf(event.label)), src: `api/clips/${event.clip.replace(/\.\w+$/, ".png")}` });
    picture.addEventListener("error", () => picture.remove());
    const move = () => {
      if (!audio.isConnected) return;
      line.style.left = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
      requestAnimationFrame(move);
    };
    const strip = h("div", { class: "strip" }, picture, line);
    strip.addEventListener("click", (click) => {
      audio.currentTime = (audio.duration || 0) * (click.offsetX / strip.clientWidth);
    });
    element.replaceChildren(strip, audio);
    element.hidden = false;
    show();
    stopPlaying();
    playing = close;
    audio.play().then(move, () => move());
    return undefined;
  }

  return { button, element, show, close };
}
