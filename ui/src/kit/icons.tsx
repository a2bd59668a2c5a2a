/** The shapes of states (1.4.1: never by colour alone) and the few icons of the shell. All decorative: a word stands beside each. */
const SHAPES = {
  dot: <circle cx="8" cy="8" r="5.6" fill="currentColor" />,
  ring: <circle cx="8" cy="8" r="4.8" fill="none" stroke="currentColor" strokeWidth="1.8" />,
  triangle: <path d="M8 2.6 14.4 13.4H1.6z" fill="currentColor" />,
  square: <rect x="3.6" y="3.6" width="8.8" height="8.8" rx="1" fill="currentColor" />,
  diamond: <path d="M8 2.2 13.8 8 8 13.8 2.2 8z" fill="currentColor" />,
  pause: <path d="M4 3h3v10H4zM9 3h3v10H9z" fill="currentColor" />,
  check: <path d="m3 8.4 3.3 3.3L13 5" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" />,
  cross: <path d="m3.8 3.8 8.4 8.4m0-8.4-8.4 8.4" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" />,
  octagon: <path d="M5.1 1.2h5.8l4 4v5.6l-4 4H5.1l-4-4V5.2z" fill="currentColor" />,
  overview: <path d="M2 2h5v6H2zM9 2h5v4H9zM2 10h5v4H2zM9 8h5v6H9z" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinejoin="round" />,
  strategies: <path d="M2 4h6m4 0h2M2 8h2m4 0h6M2 12h7m4 0h1M10 2.4v3.2M6 6.4v3.2M11 10.4v3.2" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />,
  terminal: <path d="m2.5 4 3.6 4-3.6 4M8 12.4h5.5" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" />,
  health: <path d="M1.5 8.5h3l2-5 3 9 2-4h3" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" />,
  settings: (
    <path
      d="M8 5.6a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8zM8 1.4v1.8M8 12.8v1.8M1.4 8h1.8M12.8 8h1.8M3.3 3.3l1.3 1.3M11.4 11.4l1.3 1.3M12.7 3.3l-1.3 1.3M4.6 11.4l-1.3 1.3"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
    />
  ),
  stops: <path d="M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3zM5.4 8h5.2" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinejoin="round" strokeLinecap="round" />,
  sound: <path d="M2 6h2.6L8 3v10L4.6 10H2zM10.4 5.6a3.4 3.4 0 0 1 0 4.8M12.4 3.6a6.2 6.2 0 0 1 0 8.8" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" />,
  mute: <path d="M2 6h2.6L8 3v10L4.6 10H2zM10.6 6l4 4m0-4-4 4" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" />,
  arrow: <path d="M3 8h9m-3.5-4L12.5 8l-4 4" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" />,
} as const;

export type Shape = keyof typeof SHAPES;

export function Icon({ shape, size = 12 }: { shape: Shape; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {SHAPES[shape]}
    </svg>
  );
}
