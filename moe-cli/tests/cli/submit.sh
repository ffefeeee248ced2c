#!/bin/bash
#SBATCH --job-name=moe
#SBATCH --array=0-5%4
#SBATCH --signal=TERM@90
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=moe-%A_%a.log
#SBATCH --partition=gpu
#SBATCH --time=4:00:00

# Runs that are missing: 6. Each task makes runs that nobody has until none is left, so that tasks may be added, ended and
# lost. The last one prints the table.
export RAYON_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" moe ablate --worker tiny.toml -x 'router={name="mixtral", top_k=1},{name="switch"}' -s 3 -q
code=$?

# 130: interrupted and saved; the same task goes on from there.
if [ "$code" = 130 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
# 4: nothing is left for this task, and others are still at their runs.
if [ "$code" = 4 ]; then
    code=0
fi
exit "$code"
