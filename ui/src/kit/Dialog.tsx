import { useId, useLayoutEffect, useRef, type ReactNode } from "react";

interface Props {
  title: ReactNode;
  role?: "dialog" | "alertdialog";
  onClose: () => void;
  /** False while leaving would lose something, for example during sign-in. */
  closable?: boolean;
  children: ReactNode;
  testId: string;
  /** The id of the text that says what the dialog does. */
  describedBy?: string;
}

/**
 * The browser's own modal dialog: it traps and returns focus and makes the rest of the page inert. The element with
 * `data-autofocus` gets the focus after showModal(); React's autoFocus would act at mount, before it, and be lost.
 */
export function Dialog({ title, role = "dialog", onClose, closable = true, children, testId, describedBy }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // A layout effect: its cleanup closes the dialog while it is still in the page, so that the focus goes back.
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (!dialog) return;
    if (!dialog.open) dialog.showModal();
    // The buttons stick to the bottom, and the browser would scroll to where they stand without that.
    dialog.querySelector<HTMLElement>("[data-autofocus]")?.focus({ preventScroll: true });
    dialog.scrollTop = 0;
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={ref}
      className="dialog"
      role={role}
      aria-labelledby={heading}
      aria-describedby={describedBy}
      data-testid={testId}
      onCancel={(event) => {
        event.preventDefault();
        if (closable) onClose();
      }}
    >
      <div className="dialog-head">
        <h2 id={heading}>{title}</h2>
      </div>
      {children}
    </dialog>
  );
}
