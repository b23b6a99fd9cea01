"""Upload of an export to the Hugging Face Hub, with the Hub's own login: HF_TOKEN or `hf auth login`."""

from pathlib import Path

from apm_exp.core.errors import UsageError, library_error

POLICY = "policy"  # the subfolder with the model, which gets its own repository


def check_can_push(repo: str) -> None:
    """Raise UsageError `export.push=...` if the repository name is invalid or there is no login."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except ValueError as error:
        raise UsageError(f"export.push={repo}: {library_error(error)}; give owner/name") from error
    if repo.count("/") != 1:
        raise UsageError(f"export.push={repo}: not a repository name; give owner/name")
    if constants.HF_HUB_OFFLINE:
        raise UsageError(f"export.push={repo}: HF_HUB_OFFLINE is set; unset it, or remove export.push")
    if not get_token():
        remedy = "set HF_TOKEN, or log in with `hf auth login`"
        raise UsageError(f"export.push={repo}: no login for the Hugging Face Hub; {remedy}; nothing was written")


def push(folder: Path, repo: str, *, private: bool, policy: bool) -> list[str]:
    """Upload an exported folder as the data set `repo`, and its policy as the model `repo`; returns their URLs.

    Raises a one-line ValueError if an upload fails; the folder is kept, and the same command retries.
    """
    try:
        sent = [_upload(folder, repo, "dataset", private, leave_out=f"{POLICY}/*" if policy else None)]
        return [*sent, _upload(folder / POLICY, repo, "model", private)] if policy else sent
    except Exception as error:  # the exceptions of the Hub's client and its dependencies have no common base class
        remedy = f"the export is kept in {folder}; re-run the same command to upload it"
        raise ValueError(f"export.push={repo}: {library_error(error)}; {remedy}") from error


def _upload(folder: Path, repo: str, kind: str, private: bool, leave_out: str | None = None) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    address = api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
    if private and not api.repo_info(repo, repo_type=kind).private:
        raise ValueError(f"the {kind} {repo} exists and is public; set another name, or export.private=false")
    api.upload_folder(
        repo_id=repo,
        repo_type=kind,
        folder_path=folder,
        ignore_patterns=leave_out,
        delete_patterns="data/*.parquet",  # of an earlier export with more files
        commit_message="Exported by apm_exp",
    )
    return str(address)
