#!/bin/sh
# The browser tests want Chromium. Where this machine lets us install it, do; where not, the tests say so and skip.
for name in "${WATCHKEEPER_CHROMIUM:-}" chromium chromium-browser google-chrome; do
  [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing Chromium for the browser tests ..."
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk; } >/dev/null 2>&1 && exit 0
fi
echo "No Chromium here and it could not be installed: the browser tests will be SKIPPED (set WATCHKEEPER_CHROMIUM to its path)." >&2
exit 1
