/** Made from the platform's message classes by `make docs`; do not edit. Times: RFC 3339, money: won. */

import type { AlertState, BrokerToken, BrokerageType, CommandStatus, Connection, EngineState, ErrorCategory, Flatness, GapCause, Level, LogCategory, Loosens, OrderStatus, ProcessStatus, ReleaseState, Role, Severity, Side, StopPhase, StopState, StrategyAction, StrategyState, Topic, TradingMode, TradingState, UpdateStatus } from "./enums";

export interface Account {
  equity: number;
  cash: number;
  realized_pnl: number;
  trading_day: string;
  as_of: string;
}

/** Open until a named person acknowledges it: `acknowledged_by`, called `acknowledged_by_name`. */
export interface Alert {
  id: string;
  code: string;
  severity: "info" | "warning" | "error" | "critical";
  reason: string;
  engine_id: string | null;
  stop_id: string | null;
  state: AlertState;
  raised_at: string;
  acknowledged_by: string | null;
  acknowledged_at: string | null;
  acknowledged_by_name: string | null;
}

export interface Alive {
  ok: boolean;
  at: string;
}

/** `release_id`: the request that was looked at; when another one has taken its place, nothing is approved. */
export interface ApproveRequest {
  epoch: number;
  release_id?: string | null;
}

/** `hash` in hex; `detail` never holds a secret. */
export interface AuditEntry {
  seq: number;
  id: string;
  at: string;
  actor: string;
  action: string;
  target: string;
  detail: Record<string, unknown>;
  hash: string;
}

/** `broken_at`: the first entry that is not what was written, or is missing. */
export interface AuditVerdict {
  ok: boolean;
  entries: number;
  head: string;
  checkpoint: number | null;
  broken_at: number | null;
  reason: string | null;
}

/** An engine as it was last heard when the stop was taken: counts, won, and the moment the counts are from. */
export interface Before {
  engine_id: string;
  connection: Connection;
  orders: number | null;
  positions: number | null;
  value: number | null;
  as_of: string | null;
  strategies: RunningStrategy[];
}

export interface BlockedPosition {
  symbol: string;
  reason: string;
}

export interface Bookmark {
  n: number;
  server_time: string;
  offsets: Record<string, number>;
}

/** The client's acknowledgement: the offsets it has, by the name of the topic. */
export interface BookmarkAck {
  n: number;
  offsets: Record<string, number>;
}

/** A broker account as it is read: secrets masked. `last_validated`: when the broker last took exactly the keys that are kept (POST /api/settings/validate with them); null: not since they are kept. */
export interface BrokerageAccount {
  id: string;
  name: string;
  type: BrokerageType;
  api_key: SecretState;
  api_secret: SecretState;
  account_number: string;
  is_active: boolean;
  last_validated: string | null;
}

/** A broker account as it is saved. A secret left out or {"set": true} is kept, a string replaces, null deletes. */
export interface BrokerageAccountInput {
  id: string;
  name: string;
  type: BrokerageType;
  account_number: string;
  api_key?: string | SecretStateInput | null;
  api_secret?: string | SecretStateInput | null;
  is_active?: boolean;
}

/** What POST /api/settings/validate tests. `profile` says which of the broker's two hosts the keys are for. */
export interface BrokerageCredentials {
  brokerage_type: BrokerageType;
  api_key: string;
  api_secret: string;
  account_number: string;
  profile?: "real" | "mock";
}

/** What is left out stays as it is. */
export interface ChangedUser {
  password?: string | null;
  role?: Role | null;
  enabled?: boolean | null;
}

export interface Check {
  name: "format" | "token" | "account";
  ok: boolean;
  reason: string;
  ms: number;
}

export interface ChecklistItem {
  name: string;
  ok: boolean;
  detail: string;
}

export interface Degraded {
  part: string;
  since: string;
  reason: string;
}

export interface Delta {
  topic: Topic;
  offset: number;
  items: unknown[];
  conflated?: number | null;
}

/** The last drill of the desk, and whether another one is due; `overdue` null: earlier stops are not read yet. */
export interface DrillStatus {
  last_at: string | null;
  stop_id: string | null;
  due_at: string | null;
  overdue: boolean | null;
}

/** One engine's part of a stop. `success` only when the level's work is verified. */
export interface EmergencyStopResult {
  engine_id: string;
  success: boolean;
  phase: StopPhase;
  positions_liquidated: number;
  orders_cancelled: number;
  orders_remaining: number | null;
  positions_remaining: number | null;
  flatness: Flatness;
  flatness_as_of: string | null;
  flatness_reason: string | null;
  residuals: Residual[];
  ms_to_frozen: number | null;
  completed_at: string | null;
  error: string | null;
}

/** What one engine needs to trade. `sealed`: a sealed box (X25519, XSalsa20-Poly1305) for its public key, base64; in it JSON with `app_key`, `app_secret` and `account` (digits). None while the account has no keys, or the engine no public key. */
export interface EngineConfiguration {
  engine_id: string;
  config_version: number;
  account_id: string;
  name: string;
  type: BrokerageType;
  account_number: string;
  is_active: boolean;
  sealed: string | null;
  risk_limits: RiskLimits;
}

export interface EngineHealthDetail {
  engine_id: string;
  connection: Connection;
  cpu_usage: number | null;
  memory_usage: number | null;
  process_status: ProcessStatus | null;
  clocks: HealthClocks;
  lease_ms_left: number | null;
  skew_ms: number | null;
  instance: string | null;
  version: string | null;
  last_update: string | null;
}

/** `before` null: the platform was not there to look (it started with the stop open). `flatness_reason`: why flatness is UNKNOWN. */
export interface EngineIncident {
  engine_id: string;
  before: Before | null;
  phase: StopPhase;
  stages: Stage[];
  orders_cancelled: number;
  orders_remaining: number | null;
  positions_liquidated: number;
  positions_remaining: number | null;
  flatness: Flatness;
  flatness_as_of: string | null;
  residuals: Residual[];
  error: string | null;
  flatness_reason: string | null;
}

/** What a stop would meet at one engine; null where it is not known. `value` in won at the last prices seen. `as_of` is the engine's own time of these numbers, `age_ms` how long ago they arrived; `synced`: whether its books agree with its broker. */
export interface EnginePreview {
  engine_id: string;
  orders: number | null;
  positions: number | null;
  value: number | null;
  blocked: BlockedPosition[];
  as_of: string | null;
  age_ms: number | null;
  synced: boolean | null;
  connection: Connection;
}

/** One known engine, connected or not. `level` is the highest level that holds for the whole engine. */
export interface EngineStatus {
  engine_id: string;
  name: string;
  status: EngineState | null;
  connection: Connection;
  trading_mode: TradingMode | null;
  level: Level;
  stops: OpenStop[];
  halted_by_lease: boolean;
  lease_expires_at: string | null;
  last_heartbeat: string | null;
  age_ms: number | null;
  version: string | null;
  account_id: string;
  strategies: StrategyStatus[];
  positions: number | null;
  open_orders: number | null;
  synced: boolean | null;
  equity: number | null;
  realized_pnl: number | null;
}

export interface EngineTokenRequest {
  engine_id: string;
  secret: string;
}

export interface EnrolRequest {
  name: string;
  account_id: string;
  engine_id?: string | null;
  public_key?: string | null;
}

/** `secret` is shown once, here, and never again. */
export interface EnrolledEngine {
  engine_id: string;
  name: string;
  account_id: string;
  created_at: string;
  secret: string | null;
}

export interface ErrorBody {
  error: string;
  reason: string;
  field?: string | null;
}

export interface ErrorReport {
  code: string;
  category: ErrorCategory;
  reason: string;
  severity: Severity;
  degraded: boolean;
}

export interface Fill {
  id: string;
  order_id: string;
  strategy_id: string;
  symbol: string;
  side: Side;
  quantity: number;
  price: number;
  fee: number;
  tax: number;
  at: string;
}

export interface FillRow {
  cursor: number;
  engine_id: string;
  id: string;
  order_id: string;
  strategy_id: string;
  symbol: string;
  side: Side;
  quantity: number;
  price: number;
  fee: number;
  tax: number;
  at: string;
}

export interface Gap {
  topic: Topic;
  from_offset: number;
  to_offset: number;
  cause: GapCause;
}

export interface HealthClocks {
  process_age_ms: number | null;
  market_data_age_ms: number | null;
  order_channel_age_ms: number | null;
  broker_token: BrokerToken;
}

/** `complete`: every engine has a final phase, or the stop is released. `log` null: it could not be read. `people`: what the users are called whose ids are in it, as far as that could be read. */
export interface IncidentReport {
  stop: Stop;
  made_at: string;
  complete: boolean;
  engines: EngineIncident[];
  log: LogRow[] | null;
  log_is_cut: boolean;
  people: Record<string, string>;
}

/** A message that could not be delivered or kept. Its content is not shown: it may hold anything. */
export interface LetterRow {
  id: string;
  engine_id: string;
  kind: string;
  reason: string;
  state: "open" | "retried" | "discarded";
  at: string;
  decided_by: string | null;
  decided_at: string | null;
}

/** A trade log as the platform stored it. `quarantined`: the engine's line was not valid; `message` is then a short excerpt of it and `reason` what was wrong. */
export interface LogRow {
  cursor: number;
  engine_id: string;
  id: string;
  category: LogCategory;
  message: string;
  timestamp: string;
  reason: string | null;
  strategy_id: string | null;
  symbol: string | null;
  order_id: string | null;
  severity: string | null;
  quarantined: boolean;
}

export interface LoginRequest {
  username: string;
  password: string;
  totp?: string | null;
}

/** Messages waiting and the bound, where there is one. */
export interface MailboxView {
  queued: number;
  capacity: number | null;
}

export interface NewUser {
  username: string;
  password: string;
  role?: Role;
}

/** A body whose content does not matter. */
export interface Nothing {
  note?: string | null;
}

export interface OpenOrder {
  order_id: string;
  symbol: string;
  side: Side;
  remaining: number;
  price: number;
}

/** An open stop as an engine's row shows it. */
export interface OpenStop {
  stop_id: string;
  scope: string;
  level: Level;
  stop_epoch: number;
}

export interface OrderRow {
  cursor: number;
  engine_id: string;
  order_id: string;
  broker_order_id: string;
  strategy_id: string;
  symbol: string;
  side: Side;
  quantity: number;
  price: number;
  status: string;
  filled: number;
  reason: string | null;
  at: string;
}

/** `price` 0 is a market order; `filled` is the cumulative filled quantity. */
export interface OrderUpdate {
  order_id: string;
  broker_order_id: string;
  strategy_id: string;
  symbol: string;
  side: Side;
  quantity: number;
  price: number;
  status: OrderStatus;
  filled: number;
  reason: string | null;
}

export interface ParameterChange {
  strategy_id: string;
  parameters: Record<string, number>;
  request_id?: string | null;
}

/** The range of one strategy parameter. Bounds are inclusive. */
export interface ParameterSpec {
  type: "integer" | "number";
  minimum: number;
  maximum: number;
  step: number;
  unit: string;
  title: string;
  loosens: Loosens;
}

export interface ParameterVersion {
  version: number;
  parameters: Record<string, number>;
  status: UpdateStatus;
  user_id: string;
  at: string;
  request_id: string;
  error: string | null;
  reason: string | null;
  username: string | null;
}

export interface Person {
  id: string;
  username: string;
  role: Role;
  enabled: boolean;
  created_at: string;
}

export interface PositionItem {
  symbol: string;
  quantity: number;
  average_price: string;
  current_price: number | null;
  unrealized_pnl: number | null;
  strategy_id: string | null;
  blocked: string | null;
}

export interface Positions {
  items: PositionItem[];
  open_orders: OpenOrder[];
  synced: boolean;
  as_of: string;
}

export interface PreviewAnswer {
  engines: EnginePreview[];
  total: PreviewTotal;
}

export interface PreviewRequest {
  scope?: string;
  level?: Level;
}

/** Sums over the `engines` whose numbers are known; `unknown` of them are not, or not wholly, in the sums. */
export interface PreviewTotal {
  orders: number | null;
  positions: number | null;
  value: number | null;
  engines: number;
  unknown: number;
  oldest_ms: number | null;
}

/** Has the fields of a trade log, so that every reader of logs can show it. `message`: the excerpt, JSON text. `reason`: what is wrong, by the name of the field. `timestamp`: when the platform got it. */
export interface QuarantinedLog {
  id: string;
  category: LogCategory;
  message: string;
  timestamp: string;
  reason: string;
  severity: Severity;
  quarantined: boolean;
}

export interface Readiness {
  ready: boolean;
  degraded: Degraded[];
}

/** For the first minutes after a release: an order that does not reduce a position is worth at most so many won. */
export interface ReducedLimits {
  minutes: number;
  max_order_value: number;
}

/** `resume`: strategies trade again; without it they come back paused. `reduced`: carefully at first. */
export interface ReleaseRequest {
  reason: string;
  epoch: number;
  waive?: Waiver[];
  resume?: boolean;
  reduced?: ReducedLimits | null;
}

/** A state that a request for a release came to. `by`: the person, null when it followed by itself; `by_name`: what that person was called, null when it is not known. */
export interface ReleaseStep {
  at: string;
  state: ReleaseState;
  by: string | null;
  detail: string | null;
  by_name: string | null;
}

/** A request for a release. `checklist`: as it is now while the request waits, else as it was decided on. The names are those of `requested_by` and `approved_by`, null when they are not known. */
export interface ReleaseView {
  id: string;
  stop_id: string;
  state: ReleaseState;
  checklist: ChecklistItem[];
  requested_by: string;
  requested_at: string;
  not_before: string | null;
  epoch: number;
  reason: string;
  waive: Waiver[];
  resume: boolean;
  reduced: ReducedLimits | null;
  approved_by: string | null;
  history: ReleaseStep[];
  requested_by_name: string | null;
  approved_by_name: string | null;
}

/** What a stop could not close: how many shares of what, why, and until when that is known to hold. */
export interface Residual {
  symbol: string;
  quantity: number;
  reason: string;
  until: string | null;
}

/** The desk's limits; loosening any of them needs the risk role. Money in won. */
export interface RiskLimits {
  max_daily_loss: number;
  max_position_size: number;
  max_concurrent_positions: number;
  emergency_stop_loss: number;
}

/** The desk's limits; loosening any of them needs the risk role. Money in won. */
export interface RiskLimitsInput {
  max_daily_loss?: number;
  max_position_size?: number;
  max_concurrent_positions?: number;
  emergency_stop_loss?: number;
}

export interface RollbackRequest {
  strategy_id: string;
  version: number;
}

/** `public_key`: X25519, base64; left out keeps the one that is there. */
export interface RotateRequest {
  public_key?: string | null;
}

/** A strategy with the parameters it ran when the stop came. */
export interface RunningStrategy {
  strategy_id: string;
  status: string;
  version: number;
  parameters: Record<string, number>;
}

/** What a browser may know of a stored secret: never the value. */
export interface SecretState {
  set: boolean;
  fingerprint: string | null;
  updated_at: string | null;
}

/** What a browser may know of a stored secret: never the value. */
export interface SecretStateInput {
  set: boolean;
  fingerprint?: string | null;
  updated_at?: string | null;
}

export interface Snapshot {
  topic: Topic;
  epoch: string;
  offset: number;
  items: unknown[];
}

/** When an engine reached a phase, and how long after the request. */
export interface Stage {
  phase: StopPhase;
  at: string;
  ms: number;
}

export interface StepUpRequest {
  password: string;
  totp?: string | null;
}

/** EmergencyStopResponse, and the Stop of GET /api/stops. `durable`: journal or database on stable storage. `username`: what the person of `user_id` was called when the stop was taken; null when it is not known, or was no person (an engine, the platform). */
export interface Stop {
  stop_id: string;
  request_id: string;
  epoch: number;
  scope: string;
  level: Level;
  user_id: string;
  reason: string;
  requested_at: string;
  delivered: number;
  engines: number;
  durable: boolean;
  state: StopState;
  results: EmergencyStopResult[];
  drill: boolean;
  cause: string;
  released_at: string | null;
  timeline: TimelineEvent[];
  username: string | null;
}

/** A request for a stop. Everything is optional: an empty body stops everything and flattens. `drill`: the same stop with a label, of level HALT where the body names none; above HALT only where every engine it concerns trades on paper. */
export interface StopRequest {
  request_id?: string | null;
  scope?: string;
  level?: Level;
  reason?: string;
  drill?: boolean;
}

/** Why; a resume has to say it. `reduced`: with a resume, carefully at first. */
export interface StrategyCommandRequest {
  reason?: string;
  reduced?: ReducedLimits | null;
}

/** What became of pausing or resuming a strategy. `strategy_status`: what the engine says it is now. */
export interface StrategyCommandResult {
  request_id: string;
  engine_id: string;
  strategy_id: string;
  action: StrategyAction;
  status: CommandStatus;
  strategy_status: StrategyState | null;
  error: string | null;
  reason: string | null;
}

/** Desired and effective parameters of one strategy; they differ while a change is under way or was refused. */
export interface StrategyParameters {
  engine_id: string;
  strategy_id: string;
  version: number;
  desired: Record<string, number>;
  effective: Record<string, number> | null;
  effective_version: number | null;
  parameter_schema: Record<string, ParameterSpec>;
  updated_at: string | null;
}

export interface StrategyStatus {
  id: string;
  name: string;
  status: StrategyState;
  trading_state: TradingState;
  parameters: Record<string, number>;
  parameter_schema: Record<string, ParameterSpec>;
  version: number;
  engine_id: string;
}

export interface Subscription {
  topic: Topic;
  epoch?: string | null;
  offset?: number | null;
}

/** The platform's own process and the fleet's sums. `process_status` is degraded while any part is; `emergency` is the address of the emergency page, null when there is none. */
export interface SystemHealthMetrics {
  cpu_usage: number;
  memory_usage: number;
  process_status: ProcessStatus;
  engine_count: number;
  active_strategies: number;
  last_update: string;
  engines_connected: number;
  engines_offline: number;
  loop_lag_ms: number;
  database: "up" | "down";
  degraded: string[];
  drill: DrillStatus | null;
  emergency: string | null;
}

export interface SystemPreferences {
  theme: "dark" | "light" | "contrast";
  notifications_enabled: boolean;
  auto_save_interval: number;
  default_chart_timeframe: "1m" | "5m" | "15m" | "1h" | "1d";
  language: "ko" | "en";
  updown: "kr" | "us";
}

export interface SystemPreferencesInput {
  theme?: "dark" | "light" | "contrast";
  notifications_enabled?: boolean;
  auto_save_interval?: number;
  default_chart_timeframe?: "1m" | "5m" | "15m" | "1h" | "1d";
  language?: "ko" | "en";
  updown?: "kr" | "us";
}

/** `level`: that of the stop from here on, where something was decided of the stop as a whole (`requested`, `raised`, `continued`, `kept`, `reopened`, `recovered`); null for what an engine did, and in what was written before there was this field. `detail`: words for people; nothing is to be read from them. */
export interface TimelineEvent {
  at: string;
  event: string;
  engine_id: string | null;
  detail: string | null;
  level: Level | null;
}

export interface TokenAnswer {
  access_token: string;
  expires_in: number;
  token_type: string;
  user: User | null;
}

export interface TopicState {
  topic: Topic;
  epoch: string;
  offset: number;
  recovered: boolean;
}

/** A line of the engine's story. A Trade must say why (property 3). */
export interface TradeLog {
  id: string;
  category: LogCategory;
  message: string;
  timestamp: string;
  reason: string | null;
  strategy_id: string | null;
  symbol: string | null;
  order_id: string | null;
  severity: Severity | null;
}

/** One actor of the supervision tree. `since`: when it got into its state. */
export interface TreeNode {
  name: string;
  kind: string;
  state: string;
  restarts: number;
  incarnation: number;
  mailbox: MailboxView;
  since: string;
  children: TreeNode[];
}

/** One actor, as the topic of the tree shows it; its parent's name is its own up to the last slash. */
export interface TreeRow {
  name: string;
  kind: string;
  state: string;
  restarts: number;
  incarnation: number;
}

export interface UiAck {
  re: string;
}

export interface UiAckFrame {
  type: "ack";
  payload: UiAck;
  timestamp: string;
}

export interface UiAuth {
  token: string;
}

export interface UiAuthFrame {
  type: "auth";
  payload: UiAuth;
  id?: string | null;
  crit?: string[];
}

export interface UiBookmarkAckFrame {
  type: "bookmark_ack";
  payload: BookmarkAck;
  id?: string | null;
  crit?: string[];
}

export interface UiBookmarkFrame {
  type: "bookmark";
  payload: Bookmark;
  timestamp: string;
}

export interface UiDeltaFrame {
  type: "delta";
  payload: Delta;
  timestamp: string;
}

export interface UiGapFrame {
  type: "gap";
  payload: Gap;
  timestamp: string;
}

export interface UiHello {
  token: string;
  protocol: string;
  topics: Subscription[];
  client?: string;
}

export interface UiHelloFrame {
  type: "hello";
  payload: UiHello;
  id?: string | null;
  crit?: string[];
}

export interface UiNack {
  code: string;
  reason: string;
}

export interface UiNackFrame {
  type: "nack";
  payload: UiNack;
  timestamp: string;
}

export interface UiSnapshotFrame {
  type: "snapshot";
  payload: Snapshot;
  timestamp: string;
}

export interface UiWelcome {
  session: string;
  topics: TopicState[];
  bookmark_ms: number;
  offline_ms: number;
  server_time: string;
  token_expires: string;
}

export interface UiWelcomeFrame {
  type: "welcome";
  payload: UiWelcome;
  timestamp: string;
}

/** The answer to a change of parameters; `parameters` are the values in effect after it. */
export interface UpdateResult {
  request_id: string;
  engine_id: string;
  strategy_id: string;
  status: UpdateStatus;
  parameters: Record<string, number>;
  version: number;
  applied_at: string | null;
  error: string | null;
  reason: string | null;
}

export interface User {
  id: string;
  username: string;
  role: Role;
}

export interface UserSettings {
  id: string;
  user_id: string;
  brokerage_accounts: BrokerageAccount[];
  system_preferences: SystemPreferences;
  risk_limits: RiskLimits;
  created_at: string;
  updated_at: string;
  config_version: number;
}

export interface UserSettingsInput {
  brokerage_accounts: BrokerageAccountInput[];
  system_preferences: SystemPreferencesInput;
  risk_limits: RiskLimitsInput;
}

export interface ValidationResult {
  is_valid: boolean;
  errors: string[];
  warnings: string[];
  checks: Check[];
}

export interface Waiver {
  engine_id: string;
  reason: string;
}

export type UiUp = UiHelloFrame | UiAuthFrame | UiBookmarkAckFrame;

export type UiDown = UiWelcomeFrame | UiSnapshotFrame | UiDeltaFrame | UiGapFrame | UiBookmarkFrame | UiAckFrame | UiNackFrame;

export interface TopicItems {
  engines: EngineStatus;
  strategies: StrategyStatus;
  health: EngineHealthDetail;
  stops: Stop;
  alerts: Alert;
  errors: (ErrorReport) & { engine_id: string };
  parameters: UpdateResult;
  trades: (TradeLog | QuarantinedLog) & { engine_id: string };
  orders: (OrderUpdate) & { engine_id: string };
  fills: (Fill) & { engine_id: string };
  accounts: (Account) & { engine_id: string };
  positions: (Positions) & { engine_id: string };
  tree: TreeRow;
  system: SystemHealthMetrics;
}
