"""The recipe of the model `tabgrid-scenes`: it draws scenes, trains on them, and judges pictures.

Drawing, captions and the judge need numpy and Pillow only; what trains needs the export
environment. `python -m scenes --help` is the way in.
"""
