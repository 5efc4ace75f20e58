"""Fetch: a public data set from its address to the folder where Dataset looks for it."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pipeline.knobs import FetchKnobs
from tasks.core import cache, console, locks
from tasks.core.errors import StageError
from tasks.core.parameters import give_knobs, given
from tasks.core.question import Question
from tasks.dataset import Dataset
from tasks.intake import archive
from tasks.intake.download import Wanted, download
from tasks.intake.sources import Combined, Drawn

_MB = 10**6


class Fetch(Question):
    """Downloads and unpacks a data set: `luigi --module tasks Fetch --dataset cfd`."""

    @cached_property
    def knobs(self) -> FetchKnobs:
        return self.experiment.resolve(FetchKnobs, given(self, FetchKnobs))

    def target(self) -> Path:
        """[Dataset] root, below the data folder unless it is an absolute path."""
        return Path(self.sibling(Dataset).source.place())

    def answer(self) -> None:
        source = self.sibling(Dataset).source
        if isinstance(source, Drawn):
            print(f"the photos of {self.dataset} are made, not fetched: start RunAll")
        elif isinstance(source, Combined):
            self._fetch_parts(list(source.parts))
        else:
            try:
                self._fetch()
            except OSError as error:
                raise StageError(self._disk_trouble(error)) from error

    def _fetch_parts(self, parts: list[str]) -> None:
        """Every part, also when another one cannot be had."""
        missing = []
        for part in parts:
            try:
                self.experiment.of(part).task(Fetch).answer()
            except StageError as error:
                missing.append(str(error))
        if missing:
            raise StageError("\n  ".join([f"not all parts of {self.dataset} are there:", *missing]))

    def _fetch(self) -> None:
        if self._is_there():
            return
        if not self.knobs.url:
            how = self.knobs.instructions.strip() or "get them from whoever published them"
            raise StageError(
                f"the data of {self.dataset} are not at {self.target()}, and there is no address to fetch them from "
                f"([Fetch] url): {how}"
            )
        with locks.locked(self._workshop(), self._say):
            if not self._is_there():  # another process may have been first
                self._lay(self._downloaded())

    def _is_there(self) -> bool:
        """Whether there is anything at the target, which is laid down whole; says so."""
        target = self.target()
        if archive.is_archive(target) and target.is_file():
            print(f"the data of {self.dataset} are in {target}")
            return True
        if not target.is_dir() or not any(not path.name.startswith(".") for path in target.iterdir()):
            return False
        print(f"the data of {self.dataset} are at {target}; to fetch them anew, move that folder away")
        return True

    def _workshop(self) -> Path:
        """A folder beside the target, so that the last step is a rename; removed when the data are there."""
        return self.target().parent / ".fetch" / self.dataset

    def _downloaded(self) -> Path:
        path = self._workshop() / PurePosixPath(urlsplit(self.knobs.url).path).name
        wanted = Wanted(
            url=self.knobs.url,
            sha256=self.knobs.sha256,
            timeout_s=self.knobs.timeout_s,
            retries=self.knobs.retries,
            wait_s=self.knobs.wait_s,
            max_bytes=self.knobs.max_download_mb * _MB,
        )
        self._say(f"{wanted.url} → {path}")
        try:
            with console.Progress("Fetch", "MB") as progress:
                found = download(
                    wanted, path, lambda done, total: progress(done // _MB, max(done, total) // _MB), self._say
                )
        except StageError as error:
            by_hand = self.knobs.instructions.strip()
            raise StageError(f"{error}; by hand: {by_hand}" if by_hand else str(error)) from None
        if not wanted.sha256:
            self._say(f'its sha256 is {found} (for configs/{self.dataset}.toml: [Fetch] sha256 = "…")')
        return path

    def _lay(self, path: Path) -> None:
        """The archive, or the folder in it, becomes the data set's, by one rename."""
        target = self.target()
        if archive.is_archive(target):
            path.rename(target)
        else:
            self._unpacked(path).rename(target)
        shutil.rmtree(self._workshop())
        print(f"the data of {self.dataset} are now at {target}")

    def _unpacked(self, path: Path) -> Path:
        try:
            whole = archive.unpacked_whole(path, self._workshop(), self.knobs)
        except archive.RefusedArchiveError:
            if not self.knobs.sha256:  # else it is the very file that is wanted, and the settings are to be changed
                path.unlink()
            raise
        return self._inner(whole)

    def _inner(self, whole: Path) -> Path:
        inner = whole / self.knobs.folder
        if not inner.is_dir():
            found = ", ".join(sorted(below.name for below in whole.iterdir())[:10])
            raise StageError(
                f"the archive of {self.dataset} has no folder {self.knobs.folder!r}, but {found}; "
                f"correct [Fetch] folder in configs/{self.dataset}.toml"
            )
        return inner

    def _disk_trouble(self, error: OSError) -> str:
        words = cache.say_os_error(error, self.target(), self.knobs.max_download_mb * _MB)
        return words.replace("HAIRLINE_OUTPUTS", "HAIRLINE_DATA")

    def _say(self, text: str) -> None:
        console.say("Fetch", text)


give_knobs(Fetch, FetchKnobs)
