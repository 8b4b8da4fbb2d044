#!/bin/sh
# Prints the Python that Madang is installed with: the one named in $PYTHON, else the one of .venv,
# else the first on the PATH that is new enough and can make virtual environments. Where there is
# none, says what is missing.

probe='import sys
if sys.version_info < (3, 11): sys.exit(3)
import importlib.util
sys.exit(0 if importlib.util.find_spec("ensurepip") else 4)'

if [ -n "$PYTHON" ]; then
  set -- "$PYTHON"
else
  set -- .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11
fi

old= bare=
for python; do
  command -v "$python" >/dev/null 2>&1 || continue
  "$python" -c "$probe" >/dev/null 2>&1
  case $? in
    0) command -v "$python"; exit 0 ;;
    3) old=${old:-$python} ;;
    4) bare=${bare:-$python} ;;
  esac
done

if [ -n "$bare" ]; then
  echo "$bare cannot make virtual environments yet: on Debian and Ubuntu run 'apt install python3-venv', then this again." >&2
elif [ -n "$old" ]; then
  echo "Madang needs Python 3.11 or newer, and $old is $("$old" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])'): install a newer one, or name it with PYTHON=/path/to/python3." >&2
else
  echo "Madang needs Python 3.11 or newer, and ${PYTHON:-python3} was not found or does not start: install one, or name it with PYTHON=/path/to/python3." >&2
fi
exit 1
