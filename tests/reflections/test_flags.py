from __future__ import annotations

from xdp.reflections import Flag, MaskCode


def test_combined_flags_are_their_parts():
    assert Flag.INTEGRATED == 0x300
    assert sum(1 << bit for bit in range(10, 16)) == Flag.BAD_SHOEBOX
    assert sum(1 << bit for bit in (22, 23, 24)) == Flag.BAD_FOR_SCALING


def test_strong_is_bit_five_and_bit_four_is_free():
    assert Flag.STRONG == 32
    assert 16 not in {int(flag) for flag in Flag}


def test_mask_of_a_pixel_of_a_found_spot():
    assert MaskCode.VALID | MaskCode.FOREGROUND | MaskCode.STRONG == 13
