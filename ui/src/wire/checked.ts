/**
 * That the readers of this folder and the platform mean the same, proven by the compiler and by nothing at run time.
 *
 * The platform's shapes are generated; the readers are written by hand, because they also decide what a screen can do without.
 */
import type * as v from "valibot";
import type { Frame } from "./frames";
import type * as wire from "./generated";
import type * as items from "./items";
import type * as rest from "./rest";

/** True when every field that is read is one that is sent, of a type that is sent. Fields that no screen shows may be left out, and null may be borne. */
type Reads<R, S> = [R] extends [S]
  ? true
  : [null] extends [R]
    ? Reads<NonNullable<R>, NonNullable<S>>
    : [R] extends [readonly (infer A)[]]
      ? [S] extends [readonly (infer B)[]]
        ? Reads<A, B>
        : false
      : [R, S] extends [object, object]
        ? [keyof R] extends [keyof S]
          ? false extends { [K in keyof R]: Reads<R[K], S[K & keyof S]> }[keyof R]
            ? false
            : true
          : false
        : false;

type Holds<Checked extends true> = Checked;
type Out<S extends v.GenericSchema> = v.InferOutput<S>;

export type Items = [
  Holds<Reads<items.EngineStatus, wire.TopicItems["engines"]>>,
  Holds<Reads<items.Strategy, wire.TopicItems["strategies"]>>,
  Holds<Reads<items.EngineHealth, wire.TopicItems["health"]>>,
  Holds<Reads<items.SystemHealth, wire.TopicItems["system"]>>,
  Holds<Reads<items.Stop, wire.TopicItems["stops"]>>,
  Holds<Reads<items.Alert, wire.TopicItems["alerts"]>>,
  Holds<Reads<items.UpdateResult, wire.TopicItems["parameters"]>>,
  Holds<Reads<items.TradeLog, wire.TradeLog & Partial<Pick<wire.QuarantinedLog, "quarantined">> & { engine_id: string }>>,
  Holds<Reads<items.TradeLog, wire.LogRow>>,
];

export type Bodies = [
  Holds<Reads<Out<typeof rest.ErrorBody>, wire.ErrorBody>>,
  Holds<Reads<rest.TokenAnswer, wire.TokenAnswer>>,
  Holds<Reads<rest.UserSettings, wire.UserSettings>>,
  Holds<Reads<rest.ValidationResult, wire.ValidationResult>>,
  Holds<Reads<rest.StrategyParameters, wire.StrategyParameters>>,
  Holds<Reads<rest.ParameterVersion, wire.ParameterVersion>>,
  Holds<Reads<rest.Release, wire.ReleaseView>>,
  Holds<Reads<rest.DeadLetter, wire.LetterRow>>,
  Holds<Reads<Out<typeof rest.StopPreview>, wire.PreviewAnswer>>,
];

/** Every frame that the platform sends is read, and no other. */
export type Frames = [Holds<Reads<Frame["type"], wire.UiDown["type"]>>, Holds<Reads<wire.UiDown["type"], Frame["type"]>>];
