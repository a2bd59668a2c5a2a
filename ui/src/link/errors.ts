/** The platform answered no: `code` is its error_* word, `field` the path it complains about. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly reason: string,
    readonly field: string | null,
  ) {
    super(`${status} ${code}`);
  }
}

/** No answer came: the request may or may not have been heard. */
export class Unreachable extends Error {
  constructor(override readonly cause: unknown) {
    super("unreachable");
  }
}
