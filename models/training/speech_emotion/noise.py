"""What noise reduction does ahead of speech emotion:

    python noise.py --data DATA --cache CACHE --weights FILE --write NOISY
    python noise.py --data DATA --cache CACHE --weights FILE --read nnnoiseless=DIR --read webrtc=DIR --out FILE

The test clips as they are and in noise so many dB below the speech: white, or steady noise of four sorts (sound/steady.py),
each clip in each sort once, and in white noise as often. Three seconds of the noise alone come before every clip, so that a
filter knows it, and are cut off behind the filter. Told is UAR under spectral subtraction, under Wiener's filter, and under
whatever else the wavs that --write leaves (48 kHz) have been through: --read takes copies of the same names, at any rate, and
moves them back by the filter's delay. Intervals are 95 % over resampled clips, all noises of a clip together; "gain" is the
difference to the sound as it is over the same clips. The copies were made so, for each FILE below NOISY:

    cargo install nnnoiseless --version 0.5.2 --root DIR; DIR/bin/nnnoiseless NOISY/FILE OUT/FILE
    gst-launch-1.0 filesrc location=NOISY/FILE ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=16000 ! \\
        webrtcdsp echo-cancel=false gain-control=false limiter=false noise-suppression-level=high ! wavenc ! \\
        filesink location=OUT/FILE
"""
import argparse
import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from scipy.io import wavfile
from scipy.signal import resample_poly

from evaluate import drawn, interval, network
from train import LABELS, TEST, floats, logits, rows, samples

sys.path.append(str(Path(__file__).resolve().parents[1] / "sound"))
import steady  # noqa: E402
from clips import RATE_HZ, ints  # noqa: E402

BEFORE, AFTER, FAR = 3 * RATE_HZ, RATE_HZ // 4, RATE_HZ // 10
WRITTEN_HZ = 48_000
DECIBELS = (40, 20, 10, 5)
CONDITIONS = {"clean": None} | {f"{kind} {db} dB": (kind, db) for kind in ("white", "steady") for db in DECIBELS}
LOUD_DB = 15


def where_loud(x):
    """Wiener's filter where the noise, as it estimates it, is less than LOUD_DB below the speech."""
    power = np.abs(steady.spectrum(x)) ** 2
    heard = slice(BEFORE // 256, -AFTER // 256)  # frames of the clip itself
    noise, both = steady.floor_of(power)[:, heard].sum(), power[:, heard].sum()
    return steady.wiener(x) if both - noise < noise * 10 ** (LOUD_DB / 10) else x


BUILT_IN = {"as it is": lambda x: x, "subtraction": steady.subtraction, "Wiener": steady.wiener,
            f"Wiener below {LOUD_DB} dB": where_loud}


def turns(condition):
    """How often each clip is heard."""
    return len(steady.NOISES) if CONDITIONS[condition] else 1


def sort_of(number, turn):
    return (number + turn) % len(steady.NOISES)


def heard(clip, number, condition, turn):
    """The clip after BEFORE samples and before AFTER of what is there without it."""
    x = np.pad(floats(clip["samples"]), (BEFORE, AFTER))
    rng = np.random.default_rng(zlib.crc32(f"{number} {turn}".encode()))
    if CONDITIONS[condition]:
        kind, db = CONDITIONS[condition]
        noise = rng.standard_normal(len(x)) if kind == "white" else steady.NOISES[sort_of(number, turn)](len(x), rng)
        speech = np.sqrt((x[BEFORE:-AFTER] ** 2).mean())
        x = x + noise / np.sqrt((noise ** 2).mean()) * speech * 10 ** (-db / 20)
        x = x / max(1.0, np.abs(x).max())
    return floats(ints(x + rng.uniform(-0.5, 0.5, len(x)) / 32_768))


def name(number, condition, turn):
    return f"{condition.replace(' ', '_')}_{turn}_{number:03d}.wav"


def read(path):
    rate, x = wavfile.read(path)
    return resample_poly(floats(x), RATE_HZ, rate)


def delay(x, y):
    """By how many samples y comes after x, at most FAR."""
    n = 2 * max(len(x), len(y))
    c = np.fft.irfft(np.fft.rfft(y, n) * np.conj(np.fft.rfft(x, n)), n)
    return int(np.argmax(np.concatenate([c[-FAR:], c[:FAR]]))) - FAR


def moved(y, lag, n):
    """n samples of y from the lag on."""
    y = y[lag:] if lag >= 0 else np.pad(y, (-lag, 0))
    return np.pad(y, (0, max(0, n - len(y))))[:n]


def right(model, clips, sounds):
    """Whether each clip is decided rightly."""
    heard = [dict(samples=ints(x[BEFORE:-AFTER])) for x in sounds]
    return logits(model, heard).argmax(1).numpy() == [c["label"] for c in clips]


def uar(share, truth):
    """Mean over labels of the share that is right."""
    return float(np.mean([share[truth == k].mean() for k in np.unique(truth)]))


def compared(answers, truth):
    """{preparation: figures} of {preparation: right or not [turns, clips]}; the first is the one compared with."""
    draws, base, out = drawn(len(truth)), None, {}
    for n, each in answers.items():
        share = each.mean(0)
        value, values = uar(share, truth), np.array([uar(share[d], truth[d]) for d in draws])
        base = (value, values) if base is None else base
        out[n] = dict(uar=round(value, 3), interval95=interval(values), gain=round(value - base[0], 3),
                      gain_interval95=interval(values - base[1]))
    return out


def by_noise(answers, truth):
    """{sort of steady noise: UAR}; every clip meets each sort in one turn."""
    sort = np.array([[sort_of(i, t) for t in range(len(answers))] for i in range(len(truth))])
    return {noise.__name__: round(uar(answers.T[sort == k], truth), 3) for k, noise in enumerate(steady.NOISES)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("data", "cache", "weights"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--write", help="a folder")
    parser.add_argument("--read", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    clips = [dict(label=LABELS.index(r["emotion"]), samples=samples(args.data, args.cache, f"emodb/{r['file']}"))
             for r in rows(Path(args.data) / "emodb") if r["speaker"] in TEST]
    if args.write:
        Path(args.write).mkdir(parents=True, exist_ok=True)
        for condition in CONDITIONS:
            for turn in range(turns(condition)):
                for i, c in enumerate(clips):
                    x = resample_poly(heard(c, i, condition, turn), WRITTEN_HZ, RATE_HZ)
                    wavfile.write(Path(args.write) / name(i, condition, turn), WRITTEN_HZ, ints(x))
        return
    model, truth = network(args.weights), np.array([c["label"] for c in clips])
    folders = dict(pair.split("=", 1) for pair in args.read)
    lags = {n: int(np.median([delay(heard(c, i, "clean", 0), read(Path(d) / name(i, "clean", 0))) for i, c in enumerate(clips)]))
            for n, d in folders.items()}
    result, shares = dict(clips=len(clips), delay_samples=lags, conditions={}), {}
    cpu_s, sound_s = dict.fromkeys(BUILT_IN, 0.0), 0.0
    for condition in CONDITIONS:
        of = shares.setdefault(condition, {n: [] for n in (*BUILT_IN, *folders)})
        for turn in range(turns(condition)):
            sounds = [heard(c, i, condition, turn) for i, c in enumerate(clips)]
            sound_s += sum(map(len, sounds)) / RATE_HZ
            for n, filtered in BUILT_IN.items():
                began = time.process_time()
                prepared = [filtered(x) for x in sounds]
                cpu_s[n] += time.process_time() - began
                of[n].append(right(model, clips, prepared))
            for n, folder in folders.items():
                copies = [read(Path(folder) / name(i, condition, turn)) for i in range(len(clips))]
                of[n].append(right(model, clips, [moved(y, lags[n], len(x)) for x, y in zip(sounds, copies)]))
    for db in DECIBELS:  # a clip in all its noises
        shares[f"any {db} dB"] = {n: shares[f"white {db} dB"][n] + shares[f"steady {db} dB"][n] for n in shares["clean"]}
    for condition, of in shares.items():
        result["conditions"][condition] = compared({n: np.array(v, float) for n, v in of.items()}, truth)
        for n, f in result["conditions"][condition].items():
            if condition.startswith("steady"):
                f["by_noise"] = by_noise(np.array(of[n], float), truth)
            print(f"{condition:12s} {n:18s} {json.dumps(f)}")
    result["ms_a_second"] = {n: round(s / sound_s * 1000, 2) for n, s in cpu_s.items()}
    print(result["ms_a_second"], lags)
    if args.out:
        Path(args.out).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
