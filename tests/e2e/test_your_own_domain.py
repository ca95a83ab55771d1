"""docs/your-own-domain.md followed word for word: a toy library through every stage, up to a decision."""

from __future__ import annotations

import csv
import re
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.factories.checkout import ROOT, Checkout, output_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]
PAGE = (ROOT / "docs/your-own-domain.md").read_text(encoding="utf-8")
WORDS = {
    "fines": "late fee|a fine|an overdue notice|two fines|a late fee again|an overdue charge|the letter about it",
    "loans": "renew my book|renew both novels|renew it until May|renew the atlas|borrow it longer|keep the book",
    "events": "the reading tonight|story time|the poetry evening|the author's talk|the film club|a concert",
}
FILLER = (
    "please kindly today again because my sister son friend asked about it on monday friday and the hall was "
    "closed when we came by after work with bags rain snow sun bus car bicycle blue green old new heavy small "
    "shelf floor desk door window lamp ticket phone letter mail number card key coat map list queue morning "
    "evening "
)
FILLERS = FILLER.split()


def write_messages(folder: Path) -> None:
    """2,200 messages over 52 weeks, a fifth of them from large-print readers, nearly all with the desk's answer."""
    random = Random(7)
    folder.mkdir(parents=True)
    with (folder / "all.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Message_ID", "Sent", "Body", "Desk", "Reader", "Branch", "Print"])
        for number in range(2200):
            desk = random.choice(list(WORDS))
            subject = random.choice(WORDS[desk].split("|"))
            filler = [random.choice(FILLERS) for _ in range(random.randint(8, 18))]
            central = random.random() < (0.75 if desk == "events" else 0.2)
            day = date(2025, 1, 6) + timedelta(days=number * 364 // 2200)
            rows.writerow(
                [
                    *(f"m{number}", day.isoformat(), " ".join([*filler[:5], subject, *filler[5:]]), desk),
                    *(f"reader{number}", "central" if central else "north"),
                    "large" if random.random() < 0.2 else "normal",
                ]
            )


def test_the_page_leads_to_a_decision(tmp_path) -> None:
    checkout = Checkout(tmp_path).make()
    domain = checkout.root / "my_domain"
    domain.mkdir()
    names = ("schema.py", "schema.py", "labeling_functions.py", "behaviors.py", "simulator.py")  # `redact` is added
    for name, block in zip(names, re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL), strict=True):
        with (domain / name).open("a", encoding="utf-8") as file:
            file.write(block)
    params = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    (domain / "params.yaml").write_text(params, encoding="utf-8")
    write_messages(tmp_path / "data" / "messages")
    # The page's one changed line; the tiny base model and the few resamples only shorten this test.
    checkout.edit("params.yaml", lambda params: params.update(domain="my_domain"))
    checkout.edit("params.yaml", lambda params: save_time(params, checkout))

    answer = checkout.release("run", PERENNIAL_DATA=str(tmp_path / "data"))
    assert answer.returncode == 0, output_of(answer)
    assert checkout.json("data/promote/decision.json")["action"] == "release", output_of(answer)
    assert "version 1 is champion now" in answer.stdout, output_of(answer)


def save_time(params: dict, checkout: Checkout) -> None:
    from tests.factories.tiny_base_model import write_tiny_base_model

    params["base_model"].update(write_tiny_base_model(checkout.models))
    params["finetune"].update(train_layers=1, epochs=1)
    params["evaluate"]["resamples"] = params["promote"]["resamples"] = 300
    params["release"]["preflight_seconds"] = 0.2
