"""Pictures of diffraction images for people, with what was found on them.

``draw`` draws a frame; ``layout`` says where panels lie in the picture, ``colours`` makes colours of counts, ``rings``
finds rings of equal resolution and ``canvas`` draws lines and words.
"""
