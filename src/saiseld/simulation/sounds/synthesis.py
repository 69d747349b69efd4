"""Procedural sounds of all 13 classes: simple models of how each is made, varied at random.

Every model is a function ``(voice, rng, seconds) -> mono float array`` at 24 kHz. ``voice`` is the
generator of what stays the same for one source (a person's pitch, a bell's partials); ``rng`` of
what changes from one event to the next. Levels are set by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

from saiseld.conventions.timebase import SAMPLE_RATE

Signal = NDArray[np.float64]
Generator = np.random.Generator


def synthesise(class_id: int, voice_seed: int, rng: Generator, seconds: float) -> Signal:
    """Return a sound of a class, about ``seconds`` long, by the source with this voice."""
    return _MODELS[class_id](np.random.default_rng(voice_seed), rng, seconds)


# Building blocks -----------------------------------------------------------------------------


def _samples(seconds: float) -> int:
    return max(int(seconds * SAMPLE_RATE), 64)


def _time(seconds: float) -> Signal:
    return np.arange(_samples(seconds)) / SAMPLE_RATE


def _noise(rng: Generator, samples: int, low: float, high: float, tilt_db: float = 0.0) -> Signal:
    """Noise between two frequencies, falling (or rising) by ``tilt_db`` an octave, RMS 1."""
    length = next_fast_len(samples)
    frequency = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    safe = np.maximum(frequency, 20.0)
    gain = (safe / 1000) ** (tilt_db / 6.02)
    gain = gain / (1 + (low / safe) ** 4) / (1 + (safe / high) ** 4)
    noise = irfft(rfft(rng.standard_normal(length)) * gain, length)[:samples]
    return np.asarray(noise / (np.std(noise) + 1e-12))


def _slow(rng: Generator, samples: int, rate_hz: float) -> Signal:
    """A smooth random curve around 0 with standard deviation 1."""
    knots = rng.standard_normal(max(int(samples / SAMPLE_RATE * rate_hz) + 3, 4))
    return np.interp(np.linspace(0, len(knots) - 1, samples), np.arange(len(knots)), knots)


def _harmonics(f0: Signal, amplitudes: Sequence[float]) -> Signal:
    """Sum of harmonics of a changing pitch; those above 11 kHz are left out."""
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    top = 11_000 / float(f0.max())
    parts = (a * np.sin(k * phase) for k, a in enumerate(amplitudes, 1) if k <= top)
    return np.asarray(sum(parts, np.zeros_like(phase)))


def _resonate(signal: Signal, frequency: float, bandwidth: float) -> Signal:
    """A two-pole resonance with gain 1 at its peak (nearly)."""
    radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
    angle = 2 * np.pi * frequency / SAMPLE_RATE
    scale = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * angle) + radius**2)
    return np.asarray(lfilter([scale], [1, -2 * radius * np.cos(angle), radius**2], signal))


def _decay(seconds: float, t60: float, attack: float = 0.002) -> Signal:
    time = _time(seconds)
    return np.asarray(10 ** (-3 * time / t60) * np.clip(time / attack, 0, 1))


def _swell(samples: int, attack: float, release: float) -> Signal:
    """Raised-cosine edges of so many seconds, at most half the length each."""
    time = np.arange(samples) / SAMPLE_RATE
    total = samples / SAMPLE_RATE
    rise = np.clip(time / min(attack, total / 2), 0, 1)
    fall = np.clip((total - time) / min(release, total / 2), 0, 1)
    return np.asarray(np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2)


def _place(out: Signal, start_s: float, piece: Signal) -> None:
    """Add a piece into a track, cut off where the track ends."""
    start = int(start_s * SAMPLE_RATE)
    room = out[start : start + len(piece)]
    room += piece[: len(room)]


def _struck(
    rng: Generator, partials: Signal, decays: Signal, seconds: float, click: float
) -> Signal:
    """A struck body: decaying partials and a short click."""
    time = _time(seconds)
    amplitude = rng.uniform(0.4, 1.0, len(partials)) / np.sqrt(np.arange(1, len(partials) + 1))
    keep = partials < 11_000
    wave = np.einsum(
        "p,pt->t",
        amplitude[keep],
        np.sin(2 * np.pi * partials[keep, None] * time) * 10 ** (-3 * time / decays[keep, None]),
    )
    length = min(_samples(0.02), len(wave))
    wave[:length] += click * _noise(rng, length, 800, 8000) * _decay(0.02, 0.012, 5e-4)[:length]
    return np.asarray(wave)


# Voices --------------------------------------------------------------------------------------

_VOWELS = np.array(
    [
        (730, 1090, 2440),
        (530, 1840, 2480),
        (390, 1990, 2550),
        (570, 840, 2410),
        (440, 1020, 2240),
        (300, 870, 2240),
        (490, 1350, 1690),
    ],
    float,
)
"""Formants of seven vowels of adult men (Peterson and Barney, 1952), Hz."""


def _vowel(f0: Signal, formants: Signal, breath: float, rng: Generator) -> Signal:
    # Near-sawtooth glottis (about -9 dB an octave after the lips), then formants in parallel.
    count = int(8000 / float(f0.max()))
    source = _harmonics(f0, [k**-0.75 for k in range(1, count + 1)])
    source += breath * rng.standard_normal(len(f0))
    gains = (1.0, 0.7, 0.45, 0.3)
    fourth = 1.38 * formants[2]
    return np.asarray(
        sum(
            gain * _resonate(source, frequency, 60 + 0.05 * frequency)
            for gain, frequency in zip(gains, (*formants, fourth), strict=True)
        )
    )


def _speech(
    voice: Generator, rng: Generator, seconds: float, pitch: tuple[float, float], tract: float
) -> Signal:
    base = voice.uniform(*pitch)
    tract = tract * voice.uniform(0.95, 1.05)
    rate, breath = voice.uniform(3.6, 5.6), voice.uniform(0.02, 0.12)
    melody = voice.uniform(0.05, 0.16)
    out = np.zeros(_samples(seconds))
    now = 0.0
    while now < seconds - 0.15:
        for _ in range(int(rng.integers(4, 11))):
            length = rng.uniform(0.7, 1.3) / rate
            f0 = base * np.exp(
                melody * _slow(rng, _samples(length), 6) * 0.5
                + rng.normal(0, melody / 2)
                - 0.12 * now / seconds
            )
            formants = _VOWELS[rng.integers(len(_VOWELS))] * tract
            piece = _vowel(f0, formants, breath, rng)
            piece *= _swell(len(piece), 0.03, 0.05) / (np.std(piece) + 1e-9)
            _place(out, now, piece * rng.uniform(0.6, 1.0))
            if rng.random() < 0.6:
                hiss = rng.uniform(0.03, 0.10)
                low = rng.choice([1500.0, 2500.0, 4000.0])
                consonant = _noise(rng, _samples(hiss), low, 2.2 * low)
                consonant *= _swell(len(consonant), 0.005, 0.03)
                _place(out, max(now - hiss / 2, 0), consonant * rng.uniform(0.15, 0.5))
            now += length
            if now >= seconds - 0.15:
                break
        now += rng.uniform(0.12, 0.4)
    return out


def _female_speech(voice: Generator, rng: Generator, seconds: float) -> Signal:
    return _speech(voice, rng, seconds, (170, 255), 1.17)


def _male_speech(voice: Generator, rng: Generator, seconds: float) -> Signal:
    return _speech(voice, rng, seconds, (85, 150), 1.0)


def _laughter(voice: Generator, rng: Generator, seconds: float) -> Signal:
    high = voice.random() < 0.5
    base = voice.uniform(240, 420) if high else voice.uniform(130, 240)
    tract, rate = (1.17 if high else 1.0), voice.uniform(4.2, 6.5)
    formants = _VOWELS[voice.choice([0, 0, 1, 3])] * tract
    out = np.zeros(_samples(seconds))
    now = 0.0
    while now < seconds - 0.1:
        count = int(rng.integers(4, 10))
        for index in range(count):
            length = rng.uniform(0.45, 0.65) / rate
            fall = np.exp(-0.05 * index - np.linspace(0, rng.uniform(0.1, 0.3), _samples(length)))
            piece = _vowel(base * rng.uniform(0.92, 1.1) * fall, formants, 0.25, rng)
            piece *= _swell(len(piece), 0.015, 0.08) / (np.std(piece) + 1e-9)
            _place(out, now, piece * 0.93**index)
            breath = _noise(rng, _samples(0.4 / rate), 700, 5000) * 0.12
            _place(out, now + length, breath * _swell(len(breath), 0.02, 0.05) * 0.93**index)
            now += 1 / (rate * rng.uniform(0.9, 1.1))
            if now >= seconds - 0.1:
                break
        now += rng.uniform(0.1, 0.45)
    return out


# Hands, feet, doors --------------------------------------------------------------------------


def _clap(rng: Generator, tone: float) -> Signal:
    length = _samples(0.07)
    burst = _noise(rng, length, 400, 9000, -3) * _decay(0.07, rng.uniform(0.02, 0.05), 4e-4)
    return burst + 2.5 * _resonate(burst, tone * rng.uniform(0.85, 1.15), 350)


def _clapping(voice: Generator, rng: Generator, seconds: float) -> Signal:
    people = 1 if voice.random() < 0.6 else int(voice.integers(3, 9))
    out = np.zeros(_samples(seconds))
    for _ in range(people):
        tone, rate = voice.uniform(700, 2300), voice.uniform(2.6, 5.5)
        now = 0.0 if people == 1 else rng.uniform(0, 0.4)
        while now < seconds - 0.05:
            _place(out, now, _clap(rng, tone) * rng.uniform(0.6, 1.0))
            now += rng.uniform(0.9, 1.1) / rate
    return out


def _footsteps(voice: Generator, rng: Generator, seconds: float) -> Signal:
    rate, hard = voice.uniform(1.5, 2.2), voice.uniform(0.15, 1.0)
    thud, heel = voice.uniform(80, 180), voice.uniform(1200, 3200)
    out = np.zeros(_samples(seconds))
    now = 0.0
    while now < seconds - 0.1:
        for delay, weight in ((0.0, 1.0), (rng.uniform(0.08, 0.14), 0.45)):
            low = _noise(rng, _samples(0.12), thud, 4 * thud) * _decay(0.12, 0.09, 2e-3)
            tap = _noise(rng, _samples(0.06), heel / 2, 2 * heel) * _decay(0.06, 0.03, 4e-4)
            scuff = _noise(rng, _samples(0.12), 1000, 7000, -2) * _swell(_samples(0.12), 0.03, 0.08)
            step = np.zeros(_samples(0.13))
            for gain, part in ((1.0, low), (1.6 * hard, tap), (0.3 * (1.2 - hard), scuff)):
                _place(step, 0, gain * part)
            _place(out, now + delay, step * weight * rng.uniform(0.75, 1.0))
        now += rng.uniform(0.94, 1.06) / rate
    return out


def _door(voice: Generator, rng: Generator, seconds: float) -> Signal:
    out = np.zeros(_samples(seconds))
    slam_at = seconds - rng.uniform(0.35, 0.5)
    if rng.random() < 0.75 and slam_at > 0.4:
        # A hinge sticks and slips: a pulse train with a wandering rate, through wood resonances.
        length = _samples(slam_at - 0.1)
        rate = voice.uniform(40, 130) * np.exp(0.5 * _slow(rng, length, 2.5))
        phase = np.cumsum(rate * (1 + 0.15 * rng.standard_normal(length))) / SAMPLE_RATE
        pulses = np.diff(np.floor(phase), prepend=0.0)
        creak = sum(_resonate(pulses, frequency, 90) for frequency in voice.uniform(500, 3800, 4))
        creak = np.asarray(creak) * _swell(length, 0.15, 0.2) * (1 + 0.5 * _slow(rng, length, 4))
        _place(out, 0, 0.5 * creak / (np.std(creak) + 1e-9))
    else:
        handle = _struck(rng, voice.uniform(900, 4000, 5), np.full(5, 0.08), 0.12, 1.0)
        out = out[: _samples(0.7)]
        slam_at = 0.2
        _place(out, 0, handle * 2)
    boom = _struck(rng, voice.uniform(60, 320, 6), voice.uniform(0.15, 0.4, 6), 0.4, 2.0)
    crack = _noise(rng, _samples(0.3), 200, 6000, -3) * _decay(0.3, voice.uniform(0.1, 0.22), 1e-3)
    latch = _struck(rng, voice.uniform(1500, 5000, 4), np.full(4, 0.05), 0.08, 1.5)
    _place(out, slam_at, 3 * boom)
    _place(out, slam_at, 3 * crack)
    _place(out, slam_at + rng.uniform(0.03, 0.08), latch)
    return out


def _knock(voice: Generator, rng: Generator, seconds: float) -> Signal:
    partials = np.sort(voice.uniform(180, 2600, 9))
    decays = voice.uniform(0.05, 0.14) * (partials[0] / partials) ** 0.4
    rate = voice.uniform(3.0, 5.5)
    out = np.zeros(_samples(seconds))
    now = 0.0
    while now < seconds - 0.1:
        for _ in range(int(rng.integers(3, 6))):
            if now >= seconds - 0.1:
                break
            _place(out, now, _struck(rng, partials, decays, 0.16, 1.2) * rng.uniform(0.7, 1.0))
            now += rng.uniform(0.93, 1.07) / rate
        now += rng.uniform(0.35, 0.7)
    return out


# Appliances ----------------------------------------------------------------------------------


def _telephone(voice: Generator, rng: Generator, seconds: float) -> Signal:
    kind = int(voice.integers(4))
    time = _time(seconds)
    on, off = voice.uniform(0.6, 1.6), voice.uniform(0.3, 1.0)
    gate = ((time % (on + off)) < on).astype(float)
    smooth = np.hanning(_samples(0.008))
    gate = np.convolve(gate, smooth / smooth.sum(), "same")
    if kind == 0:  # two small bells and a hammer
        rate = voice.uniform(18, 26)
        bells = voice.uniform(900, 1500) * np.array([1.0, voice.uniform(1.15, 1.3)])
        ring = np.zeros_like(time)
        for index, at in enumerate(np.arange(0, seconds, 1 / rate)):
            partials = bells[index % 2] * np.array([1, 2.4, 3.9, 5.4])
            _place(ring, at, _struck(rng, partials, np.array([0.5, 0.4, 0.3, 0.2]), 0.18, 0.3))
        return np.asarray(ring * gate)
    if kind == 1:  # electronic trill
        low, step = voice.uniform(700, 1800), voice.uniform(1.12, 1.35)
        trill = (time * voice.uniform(8, 25)) % 1 < 0.5
        f0 = np.where(trill, low, low * step)
        colour = [1.0, voice.uniform(0, 0.5), 0.3, voice.uniform(0, 0.3)]
        return np.asarray(_harmonics(f0, colour) * gate)
    if kind == 2:  # a mobile telephone's tune
        scale = voice.uniform(600, 1100) * 2 ** (np.array([0, 2, 4, 7, 9, 12]) / 12)
        tune, beat = voice.choice(scale, 8), voice.uniform(0.11, 0.2)
        note = (time / beat).astype(int)
        fade = np.exp(-4 * (time % beat) / beat)
        return _harmonics(tune[note % 8], [1.0, 0.5, 0.35, 0.2]) * fade
    buzz = 1 + 0.9 * np.sign(np.sin(2 * np.pi * voice.uniform(10, 18) * time))
    tones = voice.uniform(900, 2600, 2)
    return np.asarray(np.sin(2 * np.pi * tones[:, None] * time).sum(0) * buzz * gate)


def _domestic(voice: Generator, rng: Generator, seconds: float) -> Signal:
    samples = _samples(seconds)
    kind = int(voice.integers(5))
    ramp = _swell(samples, 0.35, 0.25)
    if kind in (0, 1):  # vacuum cleaner, blender: a motor and its air
        rate = voice.uniform(90, 180) if kind == 0 else voice.uniform(220, 420)
        load = 1 + (0.02 if kind == 0 else 0.08) * _slow(rng, samples, 3)
        motor = _harmonics(rate * load * (0.7 + 0.3 * ramp), voice.uniform(0.1, 1, 24).tolist())
        air = _noise(rng, samples, voice.uniform(200, 600), voice.uniform(3000, 9000), -2)
        return (motor / np.std(motor) * voice.uniform(0.3, 1.2) + air) * ramp
    if kind == 2:  # frying
        crackle = rng.random(samples) < voice.uniform(30, 120) / SAMPLE_RATE
        pops = crackle * rng.exponential(1.0, samples)
        hiss = _noise(rng, samples, 1500, 9000) * (1 + 0.3 * _slow(rng, samples, 5))
        return (_resonate(pops, voice.uniform(2000, 5000), 900) * 60 + hiss) * ramp
    if kind == 3:  # dishes
        out = np.zeros(samples)
        now = 0.0
        while now < seconds - 0.1:
            partials = rng.uniform(900, 2600) * np.array([1, 2.3, 3.6, 4.9])
            length = rng.uniform(0.08, 0.4)
            hit = _struck(rng, partials, length * np.array([1, 0.8, 0.6, 0.5]), length, 0.8)
            _place(out, now, hit * rng.uniform(0.2, 1))
            now += rng.exponential(voice.uniform(0.1, 0.3)) + 0.03
        return out
    beat = voice.uniform(0.5, 1.4)  # washing machine, fan
    swing = 1 + 0.7 * np.sin(2 * np.pi * np.arange(samples) / SAMPLE_RATE / beat)
    drum = _noise(rng, samples, 80, 1200, -4) * swing
    hum = _harmonics(np.full(samples, voice.uniform(95, 105)), [1, 0.6, 0.5, 0.3, 0.3, 0.2])
    return (drum + 0.5 * hum + 0.4 * _noise(rng, samples, 800, 6000, -2)) * ramp


def _water(voice: Generator, rng: Generator, seconds: float) -> Signal:
    samples = _samples(seconds)
    flow = voice.uniform(0.3, 1.0)
    jet = _noise(rng, samples, voice.uniform(500, 1500), voice.uniform(4000, 9500), 1.0)
    jet *= 1 + 0.25 * _slow(rng, samples, 12)
    out = flow * jet
    # Bubbles: short sines that rise in pitch while they decay.
    for at in np.sort(rng.uniform(0, seconds, int(seconds * voice.uniform(25, 90)))):
        length = rng.uniform(0.008, 0.04)
        time = _time(length)
        pitch = rng.uniform(500, 3200) * (1 + rng.uniform(1, 6) * time)
        bubble = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * _decay(length, length)
        _place(out, float(at), bubble * rng.exponential(0.9))
    return out * _swell(samples, 0.12, 0.15)


def _bell(voice: Generator, rng: Generator, seconds: float) -> Signal:
    kind = int(voice.integers(3))
    out = np.zeros(_samples(seconds))
    if kind == 0:  # hand bell, shaken
        partials = voice.uniform(1300, 3200) * np.array([1, 1.6, 2.55, 3.2])
        decays, rate = voice.uniform(0.4, 1.2) * np.array([1, 0.7, 0.5, 0.4]), voice.uniform(5, 9)
        for at in np.arange(0, seconds - 0.05, 1 / rate):
            hit = _struck(rng, partials, decays, 0.5, 0.5)
            _place(out, max(float(at) + rng.normal(0, 0.01), 0), hit * rng.uniform(0.5, 1))
        return out
    if kind == 1:  # door bell: ding, dong
        high = voice.uniform(550, 900)
        for at, pitch in ((0.0, high), (voice.uniform(0.5, 0.8), high * 0.794)):
            partials = pitch * np.array([1, 2.76, 5.4, 8.9])
            _place(out, at, _struck(rng, partials, np.array([2, 1.2, 0.6, 0.3]), seconds, 0.4))
        return out
    partials = voice.uniform(500, 1100) * np.array([0.5, 1, 1.18, 1.5, 2, 2.66, 3.0, 4.1, 5.4])
    decays = voice.uniform(2, 5) / np.sqrt(np.arange(1, 10))
    for at in np.arange(0, seconds, voice.uniform(1.0, 2.2)):
        _place(out, float(at), _struck(rng, partials, decays, seconds - float(at), 0.6))
    return out


# Music ---------------------------------------------------------------------------------------


def _note(kind: int, pitch: float, seconds: float, voice: Generator, rng: Generator) -> Signal:
    """One note: plucked, hammered, blown, reed or bowed."""
    time = _time(seconds)
    k = np.arange(1, 25)
    if kind in (0, 1):
        stretch = k * np.sqrt(1 + (3e-5 if kind == 0 else 4e-4) * k**2)
        partials = pitch * stretch
        pluck = np.abs(np.sin(np.pi * k * 0.18)) / k if kind == 0 else k**-1.2
        keep = partials < 10_500
        rate = (3.0 if kind == 0 else 2.0) * (1 + 0.12 * k)
        wave = np.einsum(
            "p,pt->t",
            pluck[keep],
            np.sin(2 * np.pi * partials[keep, None] * time) * np.exp(-rate[keep, None] * time),
        )
        return np.asarray(wave * np.clip(time / 0.003, 0, 1) * _swell(len(time), 0.001, 0.02))
    vibrato = 1 + 0.006 * np.sin(2 * np.pi * rng.uniform(4.5, 6.2) * time) * np.clip(time * 3, 0, 1)
    odd = np.where(k % 2 == 1, 1.0, 0.08)
    colours = {2: k**-2.2, 3: odd / k, 4: k**-1.0}
    wave = _harmonics(pitch * vibrato, colours[kind].tolist())
    if kind == 2:
        wave += 0.08 * _noise(rng, len(time), pitch, 5 * pitch)
    return wave * _swell(len(time), 0.06 if kind != 3 else 0.02, 0.08)


_SCALES = np.array([(0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9, 12, 14)])


def _instrument(voice: Generator, rng: Generator, seconds: float) -> Signal:
    kind, scale = int(voice.integers(5)), _SCALES[voice.integers(3)]
    root, beat = voice.uniform(130, 420), voice.uniform(0.16, 0.45)
    out = np.zeros(_samples(seconds))
    now, degree = 0.0, int(rng.integers(7))
    while now < seconds - 0.1:
        length = beat * float(rng.choice([1, 1, 2, 3]))
        degree = int(np.clip(degree + rng.integers(-2, 3), 0, 13))
        pitch = root * 2 ** ((scale[degree % 7] + 12 * (degree // 7)) / 12)
        ring = min(length * (2.0 if kind < 2 else 1.0), seconds - now)
        _place(out, now, _note(kind, pitch, ring, voice, rng) * rng.uniform(0.6, 1))
        now += length
    return out


def _music(voice: Generator, rng: Generator, seconds: float) -> Signal:
    scale, root = _SCALES[voice.integers(2)], voice.uniform(110, 200)
    beat = 60 / voice.uniform(75, 140)
    chords = voice.permutation([0, 3, 4, 5])
    pad, lead = int(voice.integers(1, 5)), int(voice.integers(5))
    drums, first = voice.uniform(0, 0.9), int(rng.integers(4))
    out = np.zeros(_samples(seconds))
    for bar, at in enumerate(np.arange(0, seconds, 4 * beat)):
        degree = int(chords[(bar + first) % 4])
        steps = [scale[(degree + s) % 7] + 12 * ((degree + s) // 7) for s in (0, 2, 4)]
        for step in steps:
            _place(out, at, 0.5 * _note(pad, 2 * root * 2 ** (step / 12), 4 * beat, voice, rng))
        for count in range(4):
            now = at + count * beat
            _place(out, now, 0.9 * _note(0, root / 2 * 2 ** (steps[0] / 12), beat, voice, rng))
            if rng.random() < 0.75:
                tone = 4 * root * 2 ** (float(rng.choice(steps)) / 12)
                _place(
                    out,
                    now + beat * 0.5 * int(rng.integers(2)),
                    0.6 * _note(lead, tone, beat, voice, rng),
                )
            kick = np.sin(2 * np.pi * np.cumsum(45 + 120 * np.exp(-40 * _time(0.2))) / SAMPLE_RATE)
            hat = _noise(rng, _samples(0.06), 5000, 11_000) * _decay(0.06, 0.05)
            snare = _noise(rng, _samples(0.15), 400, 8000, -2) * _decay(0.15, 0.12)
            _place(
                out, now, drums * (1.5 * kick * _decay(0.2, 0.2) if count % 2 == 0 else kick * 0)
            )
            _place(out, now, drums * 0.7 * snare * (count % 2))
            _place(out, now + beat / 2, drums * 0.4 * hat)
    return out


_MODELS: tuple[Callable[[Generator, Generator, float], Signal], ...] = (
    _female_speech,
    _male_speech,
    _clapping,
    _telephone,
    _laughter,
    _domestic,
    _footsteps,
    _door,
    _music,
    _instrument,
    _water,
    _bell,
    _knock,
)
