"""Speech: labels from sound by connectionist temporal classification and transducers.

data/               corpora: TIMIT, AN4, your own, the synthetic twin; features and their cache
objectives/         CTC, transducer and next-label prediction, for any recurrence
decoding/           best path, prefix beam search, fusion with a language model
joint.py            the transducer's joint network
transducer_loss.py  the transducer's loss on its lattice
metrics.py          edit distances, folding of labels, error rates
outputs.py          recognised labels that a run leaves
contestants.py      contestants of `bench speed`
"""

from bench.domains import Domain
from bench.speech.data.specification import OwnSpeechSpec, SpeechSpec, SyntheticSpeechSpec

DOMAIN = Domain(
    kind="speech",
    specs=(SpeechSpec, OwnSpeechSpec, SyntheticSpeechSpec),
    data_options=frozenset({"on_bad", "units", "resample", "channels"}),
    load="bench.speech.data.prepared:load",
    inspect="bench.speech.data.inspection:inspect",
    unpinned="bench.speech.data.prepared:unpinned",
    objectives={
        "ctc": "bench.speech.objectives.ctc:CTC",
        "next-label": "bench.speech.objectives.transducer:NextLabel",
        "transducer": "bench.speech.objectives.transducer:Transducer",
    },
    outputs={
        "ctc": "bench.speech.outputs:Recognitions",
        "transducer": "bench.speech.outputs:Recognitions",
    },
    contestants="bench.speech.contestants:speech_speed",
)
