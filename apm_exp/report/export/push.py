"""Sending an export to the Hugging Face Hub. The login is the Hub's own: HF_TOKEN, or `hf auth login`."""

from pathlib import Path

from apm_exp.core.errors import UsageError, library_error

POLICY = "policy"  # the subfolder that is a model, and goes into a repository of its own


def check_can_push(repo: str) -> None:
    """Raise UsageError `export.push=...` where the name is none, or there is no login."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except ValueError as error:
        raise UsageError(f"export.push={repo}: {library_error(error)}; give owner/name") from error
    if repo.count("/") != 1:
        raise UsageError(f"export.push={repo}: no name of a repository; give owner/name")
    if constants.HF_HUB_OFFLINE:
        raise UsageError(f"export.push={repo}: HF_HUB_OFFLINE is set; unset it, or leave export.push out")
    if not get_token():
        remedy = "set HF_TOKEN, or log in once with `hf auth login`"
        raise UsageError(f"export.push={repo}: no login for the Hugging Face Hub; {remedy}; nothing was written")


def push(folder: Path, repo: str, *, private: bool, policy: bool) -> list[str]:
    """Upload an exported folder as the data set `repo`, and its policy as the model `repo`; returns their addresses.

    Raises a one-line ValueError where that fails; the folder stays, and the same command sends it again.
    """
    try:
        sent = [_upload(folder, repo, "dataset", private, leave_out=f"{POLICY}/*" if policy else None)]
        return [*sent, _upload(folder / POLICY, repo, "model", private)] if policy else sent
    except Exception as error:  # the Hub's client and the two below it have no type in common
        remedy = f"the export stays in {folder}, and the same command sends it again"
        raise ValueError(f"export.push={repo}: {library_error(error)}; {remedy}") from error


def _upload(folder: Path, repo: str, kind: str, private: bool, leave_out: str | None = None) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    address = api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
    if private and not api.repo_info(repo, repo_type=kind).private:
        raise ValueError(f"the {kind} {repo} is there and is public; give another name, or export.private=false")
    api.upload_folder(
        repo_id=repo,
        repo_type=kind,
        folder_path=folder,
        ignore_patterns=leave_out,
        delete_patterns="data/*.parquet",  # of an earlier export, with more files
        commit_message="Exported by apm_exp",
    )
    return str(address)
