"""Render a simulated scene for an array of your own: four capsules on a sphere of 5 cm."""

from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import unit_vector
from saiseld.simulation.recipes import read_recipe
from saiseld.simulation.rooms.render import render_audio
from saiseld.simulation.scene import plan_scene
from saiseld.simulation.sounds.bank import ProceduralBank

scene = plan_scene(
    read_recipe("tiny"),
    ProceduralBank(),
    0,
    name="fold3_room1_mix001",
    room=1,
    split="train",
    index=0,
)
my_array = RigidSphereArray(0.05 * unit_vector([45, -45, 135, -135], [35, -35, -35, 35]))
audio = render_audio(scene, my_array)
print(audio.shape, "samples and channels at 24 kHz")
