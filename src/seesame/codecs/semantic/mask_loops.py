"""Compiled loops over the pixels of masks, see :mod:`seesame.codecs.semantic.masks`."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seesame.bitstream.mixing_loops import (
    LARGEST, ONE, PROBABILITY_BITS, clamp, code_bit, compiled, mixed, train)

MARGIN = 12
NOTHING = 31
NSEL = 6
NAPM = 3
SURE_N = 6
I = np.int64
HID=32
BAND=np.array([0,1,2,3,4,4,5,5,5,5,6,6,6,6,6,6],np.int64)
LENB=np.array([0,0,1,2,2,3,3,3,3]+[4]*7+[5]+[6]*15+[7],np.int64)
NIN=112
NAMED=60

class Model(NamedTuple):
    squash: Any; stretch: Any; confidence: Any; rates: Any
    offsets: Any; named_starts: Any; near_offsets: Any; starts: Any; masks: Any; extras: Any; settings: Any
    slots: Any; history: Any; mixer: Any; final: Any; maps: Any
    sure: Any; sure_mixer: Any; net1: Any; net2: Any
    surprise: Any; distance: Any; right: Any; down: Any; visits: Any

@compiled
def survey(P, D, right, down):
    """Distances to the nearest other class (chessboard, up to 15), runs to the right and down."""
    H,W=P.shape
    for y in range(H-2,0,-1):
        for x in range(W-2,0,-1):
            c=P[y,x]
            right[y,x]=min(right[y,x+1]+1,15) if P[y,x+1]==c else 0
            down[y,x]=min(down[y+1,x]+1,15) if P[y+1,x]==c else 0
            same=P[y,x+1]==c and P[y,x-1]==c and P[y-1,x]==c and P[y+1,x]==c and P[y-1,x-1]==c and P[y-1,x+1]==c and P[y+1,x-1]==c and P[y+1,x+1]==c
            if same:
                D[y,x]=min(15,min(min(D[y+1,x-1],D[y+1,x]),min(D[y+1,x+1],D[y,x+1]))+1)
            else:
                D[y,x]=1
    for y in range(1,H-1):
        for x in range(1,W-1):
            if D[y,x]>1:
                m=min(min(D[y-1,x-1],D[y-1,x]),min(D[y-1,x+1],D[y,x-1]))+1
                if m<D[y,x]: D[y,x]=m

@compiled
def sure_bit(mode,coder,data,price,bit,ST,SQ,sure,row,k,x,rate,shift):
    """Code whether a pixel is as its uniform surroundings say (1: not)."""
    dot=I(0)
    for i in range(SURE_N):
        x[i]=ST[sure[i,k[i]]>>6]
        dot+=I(x[i])*I(row[i])
    dot>>=16
    if dot>LARGEST: dot=I(LARGEST)
    if dot<-LARGEST: dot=I(-LARGEST)
    ch=I(SQ[dot+LARGEST])
    if ch<16: ch=I(16)
    bit=code_bit(mode,coder,data,price,bit,ch)
    err=(bit<<PROBABILITY_BITS)-ch
    if bit or err< -200:
        e=(err*rate)>>14
        for i in range(SURE_N): row[i]+=(x[i]*e+32768)>>16
    for i in range(SURE_N):
        p=I(sure[i,k[i]])
        p+=((bit<<PROBABILITY_BITS)-p)>>shift
        sure[i,k[i]]=max(p,64)
    return bit

@compiled
def chance_bits(ST,SQ,sure,row,k):
    dot=I(0)
    for i in range(SURE_N):
        dot+=I(ST[sure[i,k[i]]>>6])*I(row[i])
    dot>>=16
    if dot>LARGEST: dot=I(LARGEST)
    if dot<-LARGEST: dot=I(-LARGEST)
    return -np.log2(SQ[dot+LARGEST]/ONE)

@compiled
def code_mask(mode,coder,data,cost,wrong,C,P,Q,NC,M):
    slots,hist,sure=M.slots,M.history,M.sure
    SQ,ST,CONF,RATE=M.squash,M.stretch,M.confidence,M.rates
    masks=M.masks;ext=M.extras;par=M.settings
    n=masks.shape[0]; size=slots.shape[1]
    stride=C.shape[1]; H=C.shape[0]-2*MARGIN; W=stride-2*MARGIN
    Cf=C.ravel(); Pf=P.ravel(); Qf=Q.ravel(); D=M.distance.ravel(); RR=M.right.ravel(); RD=M.down.ravel(); miss=M.surprise.ravel()
    off=M.offsets; noff=M.near_offsets; starts=M.starts; N=noff.shape[0]
    HI=HID;NW=(N+7)//8; w1n=M.net1; w2n=M.net2
    price=np.zeros(1,np.float64); choose=mode==3; slack=M.settings[2]*0.0625
    if mode==3: mode=2
    x=np.zeros(NIN,np.int32); idx=np.empty(n,np.int64); chk=np.empty(n,np.int64)
    V=np.empty(NAMED,np.uint8); NV=np.full(NW*8,255,np.uint8); nx=np.zeros(NW*8+1,np.int8); nf=np.zeros(NW*8,np.int8); nf64=nf.view(np.int64); ns=M.named_starts; act=np.empty(N+32,np.int64); sg=np.empty(N+32,np.int32)
    hid=np.empty(HI,np.int32); gh=np.empty(HI,np.int32)
    XQ=np.zeros(16,np.int64); cand=np.empty(32,np.int64); inlist=np.zeros(64,np.int64)
    pk=np.empty(NSEL,np.int64); sk=np.empty(NSEL,np.int32); sel=np.empty(NSEL,np.int64)
    sx=np.zeros(SURE_N,np.int32); sk6=np.zeros(SURE_N,np.int64)
    TN=14
    toff=np.empty(TN,np.int64); tw=np.empty(TN,np.int64)
    tl=((0,-1),(-1,0),(-1,1),(-1,-1),(0,-2),(-2,0),(-1,2),(-1,-2),(-2,1),(-2,-1),(0,-3),(-1,3),(-3,0),(-1,-3))
    for k in range(TN): toff[k]=tl[k][0]*stride+tl[k][1]; tw[k]=4 if k<4 else (2 if k<10 else 1)
    RAD=par[6]; limit=par[0]; first=P[MARGIN,MARGIN]==NOTHING
    ldy=0; ldx=0
    for yy in range(H):
        hit_until=0; miss_at=-1
        for xx in range(W):
            b=(yy+MARGIN)*stride+xx+MARGIN
            before=price[0]
            p=I(Pf[b]); wa=I(Cf[b-1]); na=I(Cf[b-stride])
            s=I(Cf[b])
            dd=I(D[b])
            mh=miss[b]&15
            near=(miss[b-1]&1)|((miss[b-stride]&1)<<1)|((miss[b-stride+1]&1)<<2)|((miss[b-stride-1]&1)<<3)
            if xx<hit_until:
                Cf[b]=p
                miss[b]=(miss[b]<<1)&255
                continue
            first_d=0
            if xx==miss_at:
                first_d=1
            elif not first and dd>=par[10] and wa==p and na==p and Cf[b-stride-1]==p and Cf[b-stride+1]==p and Cf[b-stride+2]==p and Cf[b-2]==p:
                band=BAND[dd]
                end=min(W,((xx>>4)+1+(band>>2))<<4)
                L=0; mo=I(0); qs=7; bad=-1
                while xx+L<end:
                    o=b+L
                    if Pf[o]!=p or BAND[D[o]]!=band or Cf[o-stride+2]!=p: break
                    mo|=miss[o]
                    if Qf[o]!=p: qs&=6
                    if Qf[o+1]!=p: qs&=5
                    if Qf[o+stride]!=p: qs&=3
                    if bad<0 and Cf[o]!=p: bad=L
                    L+=1
                lb=LENB[L]
                nr=I(Pf[b+RR[b]+1]); nd=I(Pf[b+(RD[b]+1)*stride])
                sk6[0]=((p*8+band)*4+(1 if mo else 0)+(2 if qs==7 else 0))*8+lb
                sk6[1]=((yy*32//H)*32+(xx*32//W))*8+lb
                sk6[2]=(I(RR[b])*16+I(RD[b]))*8+lb
                sk6[3]=(mo*8+qs)*8+lb
                sk6[4]=((((yy>>3)*64+(xx>>3))&2047)*8+lb)
                sk6[5]=((nr*32+nd)*4+(1 if RR[b]<4 else 0)+(2 if RD[b]<4 else 0))*4+(lb>>1)
                if choose and bad>=0:
                    loss=np.float32(0)
                    for j in range(L):
                        if Cf[b+j]!=p: loss+=wrong[yy,xx+j]
                    if chance_bits(ST,SQ,sure[0],M.sure_mixer[band+(8 if mo else 0)],sk6)+4>loss: bad=-1
                bit=sure_bit(mode,coder,data,price,I(1 if bad>=0 else 0),ST,SQ,sure[0],M.sure_mixer[band+(8 if mo else 0)],sk6,sx,par[8],par[9])
                if mode==2 and bit==0:
                    for j in range(L): cost[yy,xx+j]=(price[0]-before)/L
                if bit==0:
                    hit_until=xx+L
                else:
                    j=0
                    while j<L-1:
                        o=b+j
                        left=L-j
                        qs=(1 if Qf[o]==p else 0)|(2 if Qf[o+1]==p else 0)|(4 if Qf[o+stride]==p else 0)
                        m8=miss[o]
                        sk6[0]=left*16+D[o]
                        sk6[1]=m8*8+qs
                        sk6[2]=I(RR[o])*16+I(RD[o])
                        sk6[3]=LENB[left]*16+RR[o]
                        sk6[4]=(j if j<3 else 3)*32+left
                        sk6[5]=p*32+left
                        if sure_bit(mode,coder,data,price,I(1 if bad==j else 0),ST,SQ,sure[1],M.sure_mixer[16+LENB[left]],sk6,sx,par[8],5): break
                        j+=1
                    if mode==2:
                        for q in range(j): cost[yy,xx+q]=0
                        cost[yy,xx+j]=price[0]-before
                    hit_until=xx+j; miss_at=xx+j
                if xx<hit_until:
                    Cf[b]=p
                    miss[b]=(miss[b]<<1)&255
                    continue
                before=price[0]
                first_d=1
            # motion template
            be=I(1000); bd=I(40); bo=I(0)
            be0=I(0)
            if not first:
                for k in range(TN):
                    if Cf[b+toff[k]]!=Pf[b+toff[k]]: be0+=tw[k]
                be=be0*4
                if be0>0:
                    for dy in range(-RAD,RAD+1):
                        for dx in range(-RAD,RAD+1):
                            if dy==0 and dx==0: continue
                            o=b+dy*stride+dx
                            e=(abs(dy)+abs(dx)) - (2 if (dy==ldy and dx==ldx) else 0)
                            for k in range(TN):
                                if Cf[b+toff[k]]!=Pf[o+toff[k]]: e+=4*tw[k]
                            if e<be: be=e; bo=dy*stride+dx; bd=(dy+4)*9+dx+4; ldy=dy; ldx=dx
                if bo==0: ldy=0; ldx=0
            be=(be+2)>>2
            mb=b+bo
            for q in range(5):
                src=Cf if q==0 else (Pf if q<3 else Qf)
                o=b if (q<2 or q==3) else (mb if q==2 else mb+bo)
                for k in range(ns[q],ns[q+1]): V[k]=src[o+off[k]]
                for k in range(starts[q],starts[q+1]): NV[k]=src[o+noff[k]]
            m=I(V[32])
            k=0
            for ci in range(10):
                if ci==0: c=p if first_d else m
                elif ci==1: c=wa
                elif ci==2: c=na
                elif ci==3: c=p
                elif ci==4: c=I(V[3])
                elif ci==5: c=I(V[33])
                elif ci==6: c=I(V[34])
                elif ci==7: c=I(V[18])
                elif ci==8: c=I(V[17])
                else: c=I(V[45])
                if c<NC and inlist[c]==0: cand[k]=c;k+=1;inlist[c]=1
            for c in range(NC):
                if inlist[c]==0: cand[k]=c;k+=1
                inlist[c]=0
            # runs
            r1=1
            while r1<15 and Cf[b-1-r1]==wa and r1<MARGIN-1: r1+=1
            r2=1
            while r2<15 and Cf[b-r2*stride-stride]==na and r2<MARGIN-1: r2+=1
            pl1=0
            while pl1<8 and Pf[b-pl1-1]==p: pl1+=1
            nr1=0
            while nr1<8 and Cf[b-stride+nr1+1]==na: nr1+=1
            pr1=min(8,I(RR[b]))
            lb=be if be<7 else (7 if be<12 else 8)
            XQ[3]=yy; XQ[4]=xx; XQ[5]=(yy>>2)*1024+(xx>>3); XQ[6]=mh*16+near; XQ[7]=lb; XQ[8]=yy*4096+xx
            XQ[9]=min(dd,7); XQ[10]=r1*16+r2; XQ[11]=pr1*81+pl1*9+nr1; XQ[12]=bd; XQ[13]=min(be,15)*16+min(be0,15); XQ[14]=near
            hitfirst=1-first_d
            sym=cand[k-1]
            for d in range(first_d,k-1):
                c=cand[d]
                bit=I(1 if c==s else 0)
                E=I(0)
                c8=np.uint8(c)
                for j in range(NAMED):
                    E|=I(V[j]==c8)<<j
                alt=cand[d+1] if d==0 else cand[0]
                XQ[1]=c+1; XQ[2]=(c+1)*32+alt
                dc=d if d<3 else 3
                d3=dc if dc<2 else 2
                # --- contexts
                for i in range(n):
                    h=(E&masks[i])*I(0x5851F42D4C957F2D)+I(dc)*I(0x3C6EF372FE94F82B)
                    h+=XQ[ext[i,0]]*I(0x2545F4914F6CDD1D)
                    h+=XQ[ext[i,1]]*I(0x369DEA0F31A53F85)
                    h^=(h>>29)&I(0x7ffffffff)
                    h*=I(0x1B873593CC9E2D51)
                    idx[i]=(h>>32)&(size-1)
                    chk[i]=(h>>56)&127
                for i in range(n):
                    v=slots[i,idx[i]]
                    if (v>>56)&127!=chk[i]:
                        v=I(ONE//2)|(I(1)<<48)|(chk[i]<<56)
                        slots[i,idx[i]]=v
                    ps=v&(ONE-1); cnt=(v>>32)&1023; hs=(v>>48)&255
                    st=I(ST[ps>>6])
                    x[i]=(st*CONF[cnt])>>10
                    x[n+i]=((ps-ONE//2)*CONF[cnt])>>(10+10)
                    x[2*n+i]=ST[hist[i,hs]>>10] if cnt>0 else 0
                x[3*n]=1024
                # --- network
                na_=0
                for j in range(NW*8): nx[j+1]=np.int8(NV[j]==c8)
                for j in range(NW*8): nf[j]=nx[j+1]-nx[j]
                cen=np.int8(p==c)
                nf[0]=nx[1]
                for j in range(1,5): nf[starts[j]]=nx[starts[j]+1]-(nx[1] if j==1 else cen)
                for j in range(N,NW*8): nf[j]=0
                for j in range(NW):
                    if nf64[j]!=0:
                        for q in range(j*8,j*8+8):
                            act[na_]=q; sg[na_]=nf[q]
                            na_+=1 if nf[q]!=0 else 0
                for j in range(12):
                    q=N
                    if j==0: r=c
                    elif j==1: r=32+alt
                    elif j==2: r=64+yy*16//H
                    elif j==3: r=80+xx*16//W
                    elif j==4: r=96+lb
                    elif j==5: r=106+min(dd,7)
                    elif j==6: r=114+d3
                    elif j==7: r=118+mh
                    elif j==8: r=134+near
                    elif j==9: r=150+min(be0,15)
                    elif j==10: r=166+I(RR[b])
                    else: r=182+I(RD[b])
                    act[na_]=NW*8+r; sg[na_]=1; na_+=1
                for h in range(HID): hid[h]=0
                for a in range(na_):
                    q=act[a]; f=sg[a]
                    for h in range(HID): hid[h]+=f*w1n[q,h]
                z=I(w2n[HI])<<10
                for h in range(HID):
                    hv=hid[h]
                    hv=hv>>10 if hv>0 else hv>>13
                    hid[h]=hv
                    z+=I(hv)*I(w2n[h])
                z=clamp(z>>16,LARGEST)
                pn=I(SQ[z+LARGEST])
                x[3*n+1]=z
                eq3=(E&1)|((E>>1)&1)<<1|((E>>16)&1)<<2|((E>>32)&1)<<3
                sel[0]=(dc*16+near)*16+mh
                sel[1]=(dc*16+(eq3))*16+(((E>>17)&1)|((E>>18)&1)<<1|((E>>33)&1)<<2|((E>>34)&1)<<3)
                sel[2]=(d3*16+lb)*32+c
                sel[3]=(d3*8+min(dd,7))*16+((E>>2)&3)*4+((E>>16)&3)
                sel[4]=d3*32+min(31,yy*32//H)
                sel[5]=(dc*16+r1)*16+min(15,be0)
                for j in range(NSEL):
                    st=mixed(x,M.mixer[j,sel[j]])
                    sk[j]=st; pk[j]=SQ[st+LARGEST]
                fin=M.final[d3*16+eq3]
                dot=mixed(sk,fin)
                pm=I(SQ[dot+LARGEST])
                pos=dot+12288
                lo=pos//768; fr=pos-lo*768
                tot=I(0)
                jj=lo if fr<384 else lo+1
                a0=(d3*16+near)*9+lb
                a1=(E&15)|(((E>>16)&7)<<4)|(((E>>32)&7)<<7)
                a2=((d3*8+min(dd,7))*32)+c
                tot+=(M.maps[0,a0,lo]*(768-fr)+M.maps[0,a0,lo+1]*fr)//768
                tot+=(M.maps[1,a1,lo]*(768-fr)+M.maps[1,a1,lo+1]*fr)//768
                tot+=(M.maps[2,a2,lo]*(768-fr)+M.maps[2,a2,lo+1]*fr)//768
                pf=(pm*3+tot)//6
                if pf<32: pf=I(32)
                if pf>ONE-32: pf=I(ONE-32)
                if choose and bit==0 and np.log2(pf/(ONE-pf))>wrong[yy,xx]-slack:
                    s=c; bit=I(1)
                bit=code_bit(mode,coder,data,price,bit,pf)
                # --- learning
                full=bit<<PROBABILITY_BITS
                M.maps[0,a0,jj]+=(full-M.maps[0,a0,jj])>>par[3]
                M.maps[1,a1,jj]+=(full-M.maps[1,a1,jj])>>par[3]
                M.maps[2,a2,jj]+=(full-M.maps[2,a2,jj])>>par[3]
                train(sk,fin,((full-pm)*par[7])>>14)
                for j in range(NSEL):
                    M.visits[j,sel[j]]+=1
                    train(x,M.mixer[j,sel[j]],((full-pk[j])*par[1])>>14)
                for i in range(n):
                    v=slots[i,idx[i]]
                    ps=v&(ONE-1); cnt=(v>>32)&1023; hs=(v>>48)&255
                    ps+=((full-ps)*RATE[cnt])>>16
                    ps=min(max(ps,64),ONE-64)
                    if cnt<limit: cnt+=1
                    hp=I(hist[i,hs]); hn=hp&1023; hp>>=10
                    hp+=(((full>>6)-hp)*RATE[hn])>>16
                    if hn<par[4]: hn+=1
                    hist[i,hs]=(hp<<10)|hn
                    hs=(hs<<1)|bit
                    if hs>255: hs=(hs&63)|64
                    slots[i,idx[i]]=ps|(cnt<<32)|(hs<<48)|(chk[i]<<56)
                g=((full-pn)*par[5])>>16
                for h in range(HID):
                    gg=(g*w2n[h])>>16
                    if hid[h]<=0: gg>>=3
                    gh[h]=gg
                    w2n[h]+=(g*hid[h]+(1<<15))>>16
                w2n[HI]+=g>>6
                for a in range(na_):
                    q=act[a]; f=sg[a]
                    for h in range(HID): w1n[q,h]+=f*gh[h]
                if d==0: hitfirst=bit
                if bit:
                    sym=c
                    break
            Cf[b]=sym
            miss[b]=((miss[b]<<1)|(1-hitfirst))&255
            if mode==2: cost[yy,xx]=(price[0]-before)+(cost[yy,xx] if first_d else 0)
