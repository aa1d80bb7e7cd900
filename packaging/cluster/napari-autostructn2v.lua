-- A module for Lmod: /modules/napari-autostructn2v/0.1.0.lua. It takes a virtual environment that was made by
--   python3.12 -m venv /software/napari-autostructn2v/0.1.0
--   /software/napari-autostructn2v/0.1.0/bin/pip install "napari-autostructn2v[em,cluster]"
help([[Removes structured noise from electron tomograms.
autostructn2v --help says how; autostructn2v doctor says whether this node is fit for it.]])
whatis("Name: napari-autostructn2v")
whatis("Description: self-supervised denoising of electron tomograms, Noise2Void and StructN2V")

local root = pathJoin("/software", myModuleName(), myModuleVersion())

conflict("napari-autostructn2v")
prepend_path("PATH", pathJoin(root, "bin"))
-- nothing of the home folder, which may hold other versions of the same libraries
setenv("PYTHONNOUSERSITE", "1")
-- as many threads as the job has cores
local cores = os.getenv("SLURM_CPUS_PER_TASK")
if cores then
    setenv("OMP_NUM_THREADS", cores)
end
