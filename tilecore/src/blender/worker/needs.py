def has_denoiser(): return False
def needs(scene): return {"tile_format":"png","reasons":[],"overlap":8,"pictures":[],"whole":None,"refuse":[],"notes":[]}
