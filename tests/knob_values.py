"""Plain values of the training knobs, for tests that change a few of them."""

from typing import Any

TRAINING: dict[str, Any] = {
    "jitter_probability": 0.75,
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "hue": 0.2,
    "noise_probability": 0.3,
    "additive_sigma": 0.01,
    "multiplicative_low": 0.75,
    "multiplicative_high": 1.25,
    "pixels": "unit",
    "epochs": 3,
    "batch_size": 4,
    "samples_per_epoch": 0,
    "optimiser": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "step",
    "step_epochs": 1,
    "step_factor": 0.1,
    "cycle_start": 0.04,
    "cycle_end": 4e-6,
    "cycle_rise": 0.3,
    "precision": "float32",
    "seed": 7,
}
