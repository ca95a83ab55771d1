"""The environment of child processes: which variables of this process reach git, DVC, stages and Airflow's components."""

from __future__ import annotations

from collections.abc import Mapping

# Names that begin so are removed: they belong to the shell or the service in which Airflow was started.
REMOVED = (
    *("AIRFLOW", "_AIRFLOW", "__AIRFLOW"),  # settings and secrets of an orchestrator, of this or another installation
    *("PYTHON", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "CONDA_"),  # another Python, its packages, its warnings
    *("LC_", "LANG", "TZ"),  # texts, numbers and times must not depend on the place
    *("BASH_ENV", "ENV", "CDPATH", "SHELLOPTS", "BASHOPTS"),  # scripts and options of the user's shell
    *("DVC_ROOT", "DVC_STAGE", "DVC_EXP_"),  # of a stage that started this process
    "GIT_",  # the place of another repository, dates and names of commits, editor, templates
)
# Settings of the site: how git reaches a server, and where its configuration is.
KEPT = (
    *("GIT_SSH", "GIT_ASKPASS", "GIT_PROXY_", "GIT_SSL_", "GIT_HTTP_", "GIT_ALLOW_PROTOCOL", "GIT_PROTOCOL"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"),
    *("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"),
)
STATED = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "SHELL": "/bin/sh",  # DVC runs commands in it; that of a service account may be `nologin`
    "PYTHONUTF8": "1",  # also where the system has no C.UTF-8
    "PYTHONUNBUFFERED": "1",
    "GIT_EDITOR": "true",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",  # a file named `a[1].json` is a name, never a pattern
    "DVC_NO_ANALYTICS": "1",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def clean(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child process: without what is removed, with what is stated, loopback never by proxy."""
    kept = {name: value for name, value in variables.items() if not name.startswith(REMOVED) or name.startswith(KEPT)}
    direct = [part.strip() for name in ("no_proxy", "NO_PROXY") for part in kept.get(name, "").split(",")]
    names = ",".join(dict.fromkeys([*filter(None, direct), *LOOPBACK]))
    return {**kept, **STATED, "no_proxy": names, "NO_PROXY": names}
