"""Where a hit is a stranger: best similarity of a question with its fact stored, and with that fact alone left out.

`python -m benchmarks.floor` prints what docs/benchmarks.md shows under "Nothing fits", for the default model.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.embedding.select import EmbeddingOptions, build_embedder
from mcp_memory.mcp.floor import shares_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS = (
    ("Anna's dog is a beagle called Pixel", "What is the name of Anna's dog?"),
    ("The Falcon project moved its billing database to PostgreSQL 16 in March", "Which database does Falcon use for billing?"),
    ("Deployments of Atlas go out on Tuesdays, because support is fully staffed then", "When do we deploy Atlas?"),
    ("Bob is allergic to peanuts and carries an epinephrine pen", "What food must Bob avoid?"),
    ("The staging cluster runs in Frankfurt on three ARM nodes", "Where is staging hosted?"),
    ("Maria prefers answers in Portuguese and short bullet points", "How does Maria like her answers?"),
    ("Error E1234 means that the licence server can't be reached; restart the VPN", "How do I fix E1234?"),
    ("The office closes at noon on Christmas Eve", "When does the office close on December 24th?"),
    ("We decided against GraphQL because the mobile team has no capacity", "Why did we not take GraphQL?"),
    ("The Wi-Fi password of the guest network is printed on the fridge", "Where can guests find the wireless password?"),
    ("Tom's birthday is on the 4th of July", "When was Tom born?"),
    ("Invoices above 5,000 euros need a second signature from Karin", "Who has to approve big invoices?"),
    ("The car needs winter tyres of size 205/55 R16", "Which tyres fit the car?"),
    ("Grandma's apple cake takes four eggs and 200 grams of butter", "How much butter goes into the apple cake?"),
    ("The nightly backup runs at 02:30 and is kept for thirty days", "How long do we keep backups?"),
    ("Lena left the company in April; Omar took over payroll", "Who does payroll now?"),
    ("The API returns 429 when a client sends more than 100 requests a minute", "What is the rate limit of the API?"),
    ("Our flight to Lisbon leaves on June 12 at 07:45 from gate B22", "When do we fly to Portugal?"),
    ("The boiler was serviced in October and is due again next autumn", "When was the heating last maintained?"),
    ("Unit tests must not touch the network; use the recorded cassettes", "May tests access the internet?"),
    ("The landlord is Mr. Keller, phone extension 88", "Who owns our flat?"),
    ("Sophie plays the cello in the city's youth orchestra", "Which instrument does Sophie play?"),
    ("Feature flags live in the flags table and are cached for sixty seconds", "How long are feature flags cached?"),
    ("The doctor prescribed 20 mg of atorvastatin in the evening", "Which medicine do I take at night?"),
    ("The vegetable garden is watered by a timer at six in the morning", "When is the garden watered?"),
    ("Customers in Switzerland pay in francs and get invoices without VAT", "How are Swiss customers billed?"),
    ("The meeting room Jupiter has a broken projector", "Which room can't show slides?"),
    ("Python 3.13 is the minimum since release 4 because of the new parser", "Which Python version do we require?"),
    ("The children's school starts at 8:10 and ends at 13:05", "When does school begin?"),
    ("Peter wants dark mode in every tool and hates pop-ups", "What does Peter dislike in user interfaces?"),
    ("The incident on May 3 was caused by an expired certificate", "What caused the outage in May?"),
    ("Logs are shipped to Loki and kept for fourteen days", "Where do our logs go?"),
    ("The bicycle's lock opens with 4711", "What is the combination of the bike lock?"),
    ("Ravi is vegetarian but eats fish on holidays", "Does Ravi eat meat?"),
    ("Terraform state is kept in the bucket infra-state-eu", "Where is the Terraform state?"),
    ("The kitchen wall is painted in sage green, code RAL 6021", "What colour is the kitchen?"),
    ("Quarterly reviews are written in the second week after the quarter's end", "When are quarterly reviews due?"),
    ("The passport of Elena expires in February 2028", "Until when is Elena's passport valid?"),
    ("We use tabs in Go and four spaces in Python", "What is our indentation style?"),
    ("The spare key of the cabin hangs behind the shed", "Where is the spare key?"),
)  # fmt: skip


async def main() -> None:
    embedder = build_embedder(EmbeddingOptions())
    facts = await embedder.embed_documents([fact for fact, _ in PAIRS])
    questions = np.stack([await embedder.embed_query(question) for _, question in PAIRS])
    await embedder.close()
    similarity = (1.0 + questions @ facts.T) / 2.0
    own = np.diag(similarity)
    strangers = np.where(np.eye(len(PAIRS), dtype=bool), 0.0, similarity).max(axis=1)
    print(f"model {embedder.identity.name}, {len(PAIRS)} facts and questions")
    for what, values in (("its fact is stored", own), ("its fact is left out", strangers)):
        print(what, "5 %, 25 %, 50 %, 75 %, 95 %:", *np.percentile(values, [5, 25, 50, 75, 95]).round(3))
    words = [shares_words(question, fact) for fact, question in PAIRS]
    others = [
        any(shares_words(question, fact) for place, (fact, _) in enumerate(PAIRS) if place != number)
        for number, (_, question) in enumerate(PAIRS)
    ]
    print("floor  semantic: kept, told  hybrid: kept, told")
    for floor in np.arange(0.58, 0.76, 0.01):
        near, far = own >= floor, strangers >= floor
        print(
            f"{floor:.2f}  {near.mean():.3f} {1 - far.mean():.3f}  "
            f"{(near | np.array(words)).mean():.3f} {1 - (far | np.array(others)).mean():.3f}"
        )
    pairs = similarity_of_facts(facts)
    print("cosine of each fact's nearest other fact, 50 %, 95 %, most:", *np.percentile(pairs, [50, 95, 100]).round(3))


def similarity_of_facts(facts: NDArray[np.float32]) -> NDArray[np.float32]:
    cosines = facts @ facts.T
    np.fill_diagonal(cosines, -1.0)
    nearest: NDArray[np.float32] = cosines.max(axis=1)
    return nearest


if __name__ == "__main__":
    asyncio.run(main())
