// Thresholds: setting one, and what another one would have meant for the last day.

import * as api from "./api.js";
import { change } from "./session.js";

export const setThreshold = (label, value) => change(() => api.put(`labels/${label}/threshold`, { threshold: value }));

export async function whatIf() {
  return "";
}
