/** The pure parts, for the tests that run them in a real browser. Not part of the dashboard. */
export { backoff, initial, retryIn, step, TIMING } from "./link/machine";
export { dictionaries, fill, slotsOf } from "./i18n";
export { korean } from "./i18n/said";
export { age, clock, won } from "./i18n/format";
export { parse, may } from "./wire/common";
export { parseFrame } from "./wire/frames";
export * as items from "./wire/items";
export * as rest from "./wire/rest";
export { LogRing, matches } from "./store/topics";
export { changesOf, numberOf, percentChange, problemOf } from "./panels/parameters/change";
export { bodyOf, formOf, loosened, proofKey, unprovedAccounts } from "./panels/settings/form";
export { holds, reached, stepsOf } from "./panels/words";
export { categorizedTradeLogs, strategies, systemHealthData } from "./data/mockData";
