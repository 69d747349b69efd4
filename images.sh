. /work/scratch/pages/env.sh; A=/work/scratch/pages/five_a; B=/work/scratch/pages/five_b; R=/work/scratch/pages/res
for d in $A $B; do python -m saiseld -q image $d/eigen_dev/dev-test-sim/fold4_room62_mix001.wav -o $R/$(basename $d)_62; done
for d in $A $B; do nice -n 5 python -m saiseld -q image $d/eigen_dev/dev-test-sim/fold4_room61_mix001.wav --video $d/video_dev/dev-test-sim/fold4_room61_mix001.mp4 -o $R/$(basename $d)_61; done
