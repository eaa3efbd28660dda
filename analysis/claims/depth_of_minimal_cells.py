"""Claim 24: minGRU and minLSTM need depth."""

from analysis.claims.claim import Claim, define

define(
    Claim(
        number=24,
        name="depth-of-minimal-cells",
        text="minGRU and minLSTM need two or three layers for selective copying.",
        source="Feng, Tung, Ahmed, Bengio & Hajimirsadeghi (2024), Were RNNs all we needed?",
        left_out="There is no task of selective copying yet.",
    )
)
