"""Lossless coding of class maps (masks) by context mixing."""

from collections.abc import Iterator
import numpy as np
from seesame.bitstream.mixing import (LARGEST, ONE, check_end, check_place, decoder_state, encoder_state, last_bytes, squash_table, stretch_table)
from seesame.codecs.semantic import mask_loops as L
from seesame.codecs.semantic.mask_loops import MARGIN, NOTHING, Model, NSEL, NAPM, SURE_N, code_mask, survey

NB=[]
def add(pl,*pos):
    for dy,dx in pos: NB.append((pl,dy,dx))
add(0,(0,-1),(-1,0),(-1,-1),(-1,1),(0,-2),(-2,0),(-1,2),(-1,-2),(0,-3),(-3,0),(-1,3),(-2,1),(-2,-1),(-2,2),(-1,-3),(-2,-2))  #0..15
add(1,(0,0),(0,1),(1,0),(0,-1),(-1,0),(1,1),(1,-1),(-1,1),(-1,-1),(0,2),(2,0),(0,-2),(-2,0),(0,3),(0,-3),(3,0))  #16..31
add(2,(0,0),(0,1),(1,0),(0,-1),(-1,0),(1,1),(1,-1),(-1,1),(-1,-1),(0,2),(2,0),(0,-2),(-2,0))  #32..44
add(3,(0,0),(0,1),(1,0),(0,-1),(-1,0),(1,1))  #45..50
add(4,(0,0),(0,1),(1,0),(0,-1),(-1,0),(1,1),(1,-1),(-1,1),(-1,-1)) #51..59
NAMES="w n nw ne ww nn nee nww www nnn n3e nne nnw nnee nw3 nnww p pe ps pw pn pse psw pne pnw pee pss pww pnn pe3 pw3 ps3 m me ms mw mn mse msw mne mnw mee mss mww mnn q qe qs qw qn qse b be bs bw bn bse bsw bne bnw".split()
def snake(rows):
    """rows: list of (dy, lo, hi), walked to and fro"""
    out=[]
    for i,(dy,lo,hi) in enumerate(rows):
        r=[(dy,dx) for dx in range(lo,hi+1)]
        out+=r if i%2==1 else r[::-1]
    return out
def box(r,q): return snake([(dy,-q,q) for dy in range(-r,r+1)])
NEAR=[snake([(0,-7,-1)])+snake([(-1,-7,7),(-2,-6,6),(-3,-5,5),(-4,-4,4)])[0:],box(4,5),box(2,3),box(2,2),box(1,1)]
NEAR[0]=snake([(0,-7,-1)])+[ (dy,dx) for i,(dy,lo,hi) in enumerate([(-1,-7,7),(-2,-6,6),(-3,-5,5),(-4,-4,4)]) for dx in (range(lo,hi+1) if i%2==0 else range(hi,lo-1,-1))]
NSTART=np.cumsum([0]+[len(k) for k in NEAR])
def mk(s):
    r=0
    for k in s.split(): r|=1<<NAMES.index(k)
    return r
A="w n nw ne"; B="p pe ps pw pn"; B2="pse psw pne pnw"; MC9="m me ms mw mn mse msw mne mnw"
X={k:i for i,k in enumerate("zero cand pair y x pos hist mce exact dist run prun disp mce2 near nw2".split())}
CTX=[
 (f"{A} p pe ps","pair"),
 (f"{A} ww nn nee nww",""),
 (f"{B} {B2}","pair"),
 (f"{A} {B}",""),
 ("w n p","pair"),
 (f"{A} {B} {B2}",""),
 ("w n p q qe qs pe ps",""),
 (f"{A} {B} ww nn nee nww pee pss",""),
 ("w n p","cand pos"),
 (f"{A} {B} q qe qs",""),
 ("w n ne p pe pw ps pn","mce"),
 ("p w n ne","y cand"),
 ("m me ms mse w n ne","mce pair"),
 (f"m me ms {A} p","disp"),
 ("p w n ne","hist"),
 (f"{A} ww www nn nnn nee n3e nne nnw p",""),
 ("p q pe qe ps qs pw qw","pair"),
 (f"{A} p pe ps pee pse pss","mce"),
 ("p w n","x cand"),
 (f"{A} {B} {B2} pee pww pss pnn",""),
 (f"{A} {B}","hist"),
 (f"{A} {B} {B2} ww nn nee nww q",""),
 ("p w","exact cand"),
 ("pe3 pee pe p pw pww w ww n ne nee n3e",""),
 (f"{MC9}","pair mce"),
 (f"{MC9} {A}","mce2"),
 (f"{MC9} {A} ww nn nee mee mss",""),
 (f"b be bs bw bn {A}","cand"),
 (f"b be bs p m w n",""),
 (f"w n","prun run"),
 (f"w n p ne m","dist pair"),
 (f"{MC9} {A} ww nn nee nww nne mee mss mww mnn p q",""),
]
EXTRA=198
PAR=dict(limit=1000,mixer_rate=64,x2=0,map_shift=6,history_limit=1000,net_rate=328,radius=2,final_rate=8,sure_rate=20,sure_shift=8,sure_distance=2,x=0)
HID=32
BITS=16
def new_model(H,W,prior=None):
    stride=W+2*MARGIN
    n=len(CTX); nin=112; N=-(-NSTART[-1]//8)*8; inp=3*n+2
    e=np.zeros((n,2),np.int64)
    for i,(_,s) in enumerate(CTX):
        for j,k in enumerate(s.split()): e[i,j]=X[k]
    w=np.zeros((NSEL,2048,nin),np.int32)
    w[:,:,0:n]=9175; w[:,:,2*n:3*n]=4587; w[:,:,3*n+1]=13000
    hist=np.zeros((n,256),np.int32)
    for h in range(1,256):
        Lh=h.bit_length()-1; ones=bin(h).count("1")-1
        hist[:,h]=((10*ones+4)*65536//(10*Lh+8))<<10|20
    final=np.full((64,NSEL),65536//NSEL,np.int32)
    apm=np.zeros((NAPM,1024,33),np.int32)
    SQ=squash_table()
    for j in range(33): apm[:,:,j]=SQ[min(max((j-16)*768,-LARGEST),LARGEST)+LARGEST]
    k=np.arange((N+EXTRA)*HID,dtype=np.int64)
    with np.errstate(over="ignore"):
        k=(k+1)*0x5851F42D4C957F2D; k^=(k>>29)&0x7ffffffff; k*=0x2545F4914F6CDD1D
    net1=((k>>45)&0x3ffff)-(1<<17)  # +-2^17: 1/8
    net1=(net1*2).astype(np.int32).reshape(N+EXTRA,HID)
    net1[N:]//=4
    plane=lambda t:np.zeros((H+2*MARGIN,W+2*MARGIN),t)
    made=Model(squash=SQ.copy(),stretch=stretch_table().copy(),
        confidence=np.array([10240*c//(10*c+12) for c in range(1024)],np.int32),rates=np.array([131072//(2*c+3) for c in range(1024)],np.int32),
        offsets=np.array([dy*stride+dx for _,dy,dx in NB]),named_starts=np.array([0,16,32,45,51,60]),near_offsets=np.array([dy*stride+dx for k in NEAR for dy,dx in k]),starts=NSTART,
        masks=np.array([mk(c) for c,_ in CTX],np.int64),extras=e,settings=np.array(list(PAR.values()),np.int64),
        slots=np.full((n,1<<BITS),(ONE//2)|(1<<48),np.int64),history=hist,mixer=w,final=final,maps=apm,
        sure=np.concatenate([np.full((1,SURE_N,16384),ONE//200,np.int32),np.full((1,SURE_N,16384),ONE//8,np.int32)]),sure_mixer=np.full((32,SURE_N),65536//4,np.int32),net1=net1,net2=np.zeros(HID+1,np.int32),
        surprise=plane(np.int64),distance=plane(np.uint8),right=plane(np.uint8),down=plane(np.uint8),visits=np.zeros((NSEL,2048),np.int64))
    if prior is not None: prior.apply(made)
    return made

from seesame.bitstream.entropy import SymbolDecoder, SymbolEncoder, scale_for
STEPS={"net1":1<<15,"net2":1<<9,"history":4096,"final":1024,"maps":1<<14,"sure":1,"sure_mixer":2048}
MIXER_STEP=1024
ROW_VISITS=3000
class Prior:
    """What a coder of masks knows before the first mask."""
    def __init__(self,parts): self.parts=parts
    def apply(self,m):
        m.settings[5]=PRIMED_NET; m.settings[1]=PRIMED_MIXER
        for k,v in self.parts.items():
            if k=="mixer":
                base,rows,own=v
                for j in range(NSEL): m.mixer[j]=base[j]*MIXER_STEP
                for (j,r),w in zip(rows,own): m.mixer[j,r]+=w*MIXER_STEP
            elif k=="sure": m.sure[:]=_unlog(v)
            elif k=="history": m.history[:]=(v<<6<<10)|60
            elif k=="maps": m.maps[:]+=v*STEPS[k]
            else: getattr(m,k)[:]=v*STEPS[k]
    def to_bytes(self):
        e=SymbolEncoder(); tot={}
        def put(v,name):
            n0=len(e.to_bytes())
            v=np.asarray(v,np.int64).ravel(); lim=int(abs(v).max(initial=0)); lim=max(lim,1)
            sc=scale_for(v,lim,laplace=True); e.uniform([lim-1],1<<16); e.uniform([sc],256); e.laplace(v,sc,lim)
            tot[name]=tot.get(name,0)+len(e.to_bytes())-n0
        for k,v in self.parts.items():
            if k=="mixer":
                base,rows,own=v; put(base,k); put([len(rows)],k); put(np.diff([a*2048+b for a,b in rows],prepend=0),k); put(own,"mixer rows")
            elif k in("sure","maps"):
                # mostly zeros
                f=v.ravel(); nz=np.flatnonzero(f); put(np.diff(nz,prepend=0)%32768,k); put(f[nz],k)
            else: put(v,k)
        self.sizes=tot
        return e.to_bytes()
def _q(v,step): return np.floor_divide(np.asarray(v,np.int64)+step//2,step)
def _log(v): return np.round(np.log2(np.maximum(v,64))*4).astype(np.int64)
LOGT=np.array([int(2**(i/4)) for i in range(0,90)])
def _unlog(v):
    base=np.empty_like(v); base[0]=ONE//200; base[1]=ONE//8
    return np.where(v==0,base,LOGT[np.clip(v,0,88)])
PRIMED_NET=60; PRIMED_MIXER=16
def learn_prior(clips,classes,epochs=2,net_rates=(328,200)):
    model=None
    for ep in range(epochs):
        for c in clips:
            m=new_model(*c.shape[1:])
            if model is not None:
                for k in ("history","mixer","final","maps","sure","sure_mixer","net1","net2","visits"): getattr(m,k)[:]=getattr(model,k)
            m.settings[5]=net_rates[min(ep,len(net_rates)-1)]
            b=mask_bits(c,classes,model=m)
            print("  learn",ep,c.shape,round(b.sum()/8),flush=True)
            model=m
    return quantised(model)
def quantised(model):
    fresh=new_model(8,8)
    parts={}
    for k in ("net1","net2","final","sure_mixer"): parts[k]=_q(getattr(model,k),STEPS[k])
    parts["maps"]=_q(model.maps-fresh.maps,STEPS["maps"])
    parts["history"]=_q(model.history>>10,64)
    sure=_log(model.sure); sure[model.sure==fresh.sure]=0; sure[0,4]=0
    parts["sure"]=sure
    w=model.mixer.astype(np.int64); v=model.visits
    base=np.stack([np.floor_divide((w[j]*v[j][:,None]).sum(0),max(v[j].sum(),1)) for j in range(NSEL)])
    base=_q(base,MIXER_STEP)
    rows=[(j,r) for j in range(NSEL) for r in np.flatnonzero(v[j]>ROW_VISITS)]
    own=[_q(w[j,r],MIXER_STEP)-base[j] for j,r in rows]
    parts["mixer"]=(base,rows,own)
    return Prior(parts)

def _run(mode,masks,shape,NC,model,coder,data,wrong=None):
    T,H,W=shape
    blank=np.full((H+2*MARGIN,W+2*MARGIN),NOTHING,np.uint8)
    P=Q=blank
    inner=slice(MARGIN,-MARGIN)
    cost=np.zeros((H,W) if mode>=2 else (1,1),np.float32); none=np.zeros((1,1),np.float32)
    for t in range(T):
        C=blank.copy()
        if mode!=1: C[inner,inner]=masks[t]
        if t: survey(P,model.distance,model.right,model.down)
        code_mask(mode,coder,data,cost,none if wrong is None else wrong[t],C,P,Q,NC,model)
        yield (cost,C[inner,inner]) if mode==3 else cost if mode==2 else C[inner,inner]
        P,Q=C,P

def encode_masks(masks,classes,prior=None):
    T,H,W=masks.shape
    coder=encoder_state(); data=np.empty(H*W*classes*3+64,np.uint8); out=bytearray()
    for _ in _run(0,masks,masks.shape,classes,new_model(H,W,prior),coder,data):
        out+=data[:coder[3]].tobytes(); coder[3]=0
    return bytes(out)+last_bytes(coder)

class MaskDecoder:
    """An iterator over the masks of :func:`encode_masks`, one decoded at each step."""

    def __init__(self, data, shape, classes, prior=None, name="the file"):
        self._data,self._name,self._left=data,name,shape[0]
        self._coder=decoder_state(data)
        self._masks=_run(1,None,shape,classes,new_model(*shape[1:],prior),self._coder,np.frombuffer(bytearray(data or b"\0"),np.uint8))
        if not self._left: check_end(self._coder,data,name)
    def __iter__(self): return self
    def __next__(self):
        mask=next(self._masks).copy()
        self._left-=1
        check_place(self._coder,self._data,self._name)
        if not self._left: check_end(self._coder,self._data,self._name)
        return mask

def decode_masks(data,shape,classes,prior=None,name="the file"):
    out=np.empty(shape,np.uint8)
    for t,m in enumerate(MaskDecoder(data,shape,classes,prior,name)): out[t]=m
    return out
def mask_bits(masks,classes,prior=None,model=None):
    out=np.empty(masks.shape,np.float32)
    for t,c in enumerate(_run(2,masks,masks.shape,classes,model or new_model(*masks.shape[1:],prior),encoder_state(),np.zeros(1,np.uint8))):
        out[t]=c
    return out
def chosen_masks(masks,classes,wrong,prior=None):
    """Return masks as a greedy coder would change them, and the bits of each pixel."""
    out=np.empty(masks.shape,np.uint8); bits=np.empty(masks.shape,np.float32)
    for t,(c,m) in enumerate(_run(3,masks,masks.shape,classes,new_model(*masks.shape[1:],prior),encoder_state(),np.zeros(1,np.uint8),wrong)):
        out[t]=m; bits[t]=c
    return out,bits
