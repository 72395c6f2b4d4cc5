#include "ballast/serve/http/dashboard.h"

namespace ballast::serve {

std::string_view dashboard_page() {
  return R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>ballast serve</title>
<style>
:root{color-scheme:light dark;--line:#2f6fb0;--other:#c25b12;--quiet:#777}
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.3rem;margin:0 0 .5rem}h2{font-size:1rem;margin:1.4rem 0 .4rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.6rem}
.tile{border:1px solid #8884;border-radius:.4rem;padding:.5rem .7rem}.tile b{display:block;font-size:1.35rem}
.tile span{color:var(--quiet);font-size:.85rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:.8rem}
svg{width:100%;height:7rem;border:1px solid #8884;border-radius:.4rem}
figcaption{font-size:.85rem;color:var(--quiet)}figure{margin:0}
textarea,select,button{font:inherit;width:100%;box-sizing:border-box}textarea{height:4.5rem}
.try{display:grid;grid-template-columns:1fr 12rem;gap:.6rem}pre{white-space:pre-wrap;border:1px solid #8884;border-radius:.4rem;padding:.6rem;min-height:3rem}
</style></head><body>
<h1>ballast serve</h1>
<div class="tiles">
<div class="tile"><b id="met">-</b><span>promises kept (of finished)</span></div>
<div class="tile"><b id="alive">-</b><span>requests here</span></div>
<div class="tile"><b id="queue">-</b><span>pending / best effort</span></div>
<div class="tile"><b id="kv">-</b><span>KV slots used</span></div>
<div class="tile"><b id="rate">-</b><span>tokens a second</span></div>
<div class="tile"><b id="plan">-</b><span>ms a plan</span></div>
</div>
<h2>The last minute (measured)</h2>
<div class="charts">
<figure><svg id="c-rate"></svg><figcaption>tokens generated a second</figcaption></figure>
<figure><svg id="c-step"></svg><figcaption>ms of the last step</figcaption></figure>
<figure><svg id="c-tokens"></svg><figcaption>tokens in the last step</figcaption></figure>
<figure><svg id="c-kv"></svg><figcaption>KV slots used</figcaption></figure>
</div>
<h2>Try it</h2>
<div class="try"><textarea id="prompt">Write a short story about a ship that never tips over.</textarea>
<div><select id="tier"></select><button id="go">Generate</button></div></div>
<pre id="out"></pre><p id="promise"></p>
<script>
const $=id=>document.getElementById(id),series={rate:[],step:[],tokens:[],kv:[]};let before=null;
function draw(name){const s=$('c-'+name),v=series[name],m=Math.max(1e-9,...v),n=Math.max(2,v.length);
 s.setAttribute('viewBox','0 0 300 100');s.setAttribute('preserveAspectRatio','none');
 s.innerHTML='<polyline fill="none" stroke="var(--line)" stroke-width="2" vector-effect="non-scaling-stroke" points="'+
 v.map((y,i)=>(i*300/(n-1)).toFixed(1)+','+(95-85*y/m).toFixed(1)).join(' ')+'"/><text x="4" y="12" font-size="10" fill="currentColor">'+m.toFixed(1)+'</text>';}
function push(name,y){series[name].push(y);if(series[name].length>120)series[name].shift();draw(name);}
const feed=new EventSource('events');
feed.onmessage=e=>{const p=JSON.parse(e.data);
 $('met').textContent=p.finished?(100*p.met/p.finished).toFixed(1)+' %':'-';$('alive').textContent=p.alive;
 $('queue').textContent=p.pending+' / '+p.best_effort;$('kv').textContent=p.kv_used+' / '+p.kv_total;
 $('plan').textContent=p.plan_ms.toFixed(3);
 if(before&&p.ms>before.ms){const r=1000*(p.output_tokens-before.output_tokens)/(p.ms-before.ms);$('rate').textContent=r.toFixed(0);
  push('rate',r);push('step',p.step_ms);push('tokens',p.step_tokens);push('kv',p.kv_used);}
 before=p;document.body.dataset.points=series.rate.length;};
fetch('v1/models').then(r=>r.json()).then(m=>{const tiers=m.data[0].slo_tiers;
 for(const t in tiers){const o=document.createElement('option');o.value=t;o.textContent=t+': first token '+tiers[t].ttft_slowdown+'x, then '+tiers[t].tpot_ms.toFixed(0)+' ms';$('tier').append(o);}});
$('go').onclick=async()=>{const start=performance.now();let first=0,last=0,n=0;$('out').textContent='';$('promise').textContent='';
 const r=await fetch('v1/chat/completions',{method:'POST',headers:{'content-type':'application/json'},body:JSON.stringify({
  messages:[{role:'user',content:$('prompt').value}],stream:true,stream_options:{include_usage:true},max_tokens:128,temperature:0,slo:{tier:$('tier').value}})});
 if(!r.ok){$('out').textContent=(await r.json()).error.message;return;}
 const reader=r.body.getReader(),decoder=new TextDecoder();let rest='';
 for(;;){const{done,value}=await reader.read();if(done)break;rest+=decoder.decode(value,{stream:true});
  for(let at;(at=rest.indexOf('\n\n'))>=0;rest=rest.slice(at+2)){const line=rest.slice(6,at);if(line==='[DONE]')continue;
   const d=JSON.parse(line),c=d.choices&&d.choices[0];
   if(c&&c.delta.content){if(!first)first=performance.now();last=performance.now();n++;$('out').textContent+=c.delta.content;}
   if(d.usage){const s=d.usage.slo;$('promise').textContent=r.headers.get('x-ballast-admission')+': first token after '+(first-start).toFixed(0)+
    ' ms ('+s.slowdown.toFixed(2)+'x an idle machine), then '+(n>1?((last-first)/(n-1)).toFixed(1):'-')+' ms a piece; promise '+(s.met?'kept':'missed');}}}
};
</script></body></html>
)html";
}

}  // namespace ballast::serve
