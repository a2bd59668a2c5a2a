import { useLayoutEffect, useRef, type ReactNode } from "react";
import { Icon, type Shape } from "./icons";

export type Tone = "ok" | "warn" | "crit" | "idle";

export interface Look {
  readonly shape: Shape;
  readonly tone: Tone;
  readonly word: string;
}

/** A state as shape, word and colour, in this order of importance. */
export function Status({ look, testId }: { look: Look; testId?: string }) {
  return (
    <span className={`status tone-${look.tone}`} data-testid={testId} data-tone={look.tone}>
      <Icon shape={look.shape} />
      {look.word}
    </span>
  );
}

export function Badge({ tone = "idle", shape, filled = false, children, testId }: { tone?: Tone; shape?: Shape; filled?: boolean; children: ReactNode; testId?: string }) {
  return (
    <span className={`badge tone-${tone}${filled ? " badge-filled" : ""}`} data-testid={testId}>
      {shape && <Icon shape={shape} size={10} />}
      {children}
    </span>
  );
}

interface NoticeProps {
  tone: Tone;
  shape?: Shape;
  children: ReactNode;
  testId?: string;
  role?: "alert" | "status";
  /** Scrolls itself into view when it appears: for what answers a person's action, and may lie below the fold. */
  reveal?: boolean;
}

export function Notice({ tone, shape = "triangle", children, testId, role, reveal = false }: NoticeProps) {
  const ref = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (reveal) ref.current?.scrollIntoView({ block: "nearest" });
  }, [reveal]);
  return (
    <div ref={ref} className={`notice tone-${tone}`} data-testid={testId} role={role}>
      <Icon shape={shape} size={13} />
      <div>{children}</div>
    </div>
  );
}
